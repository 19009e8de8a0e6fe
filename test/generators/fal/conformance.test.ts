import { onTestFinished } from 'vitest';
import { startFalServer } from '../../fakes/fal-server.ts';
import { generatorConformance } from '../conformance.ts';
import { falGenerator } from './fixtures.ts';

/** An endpoint that takes everything that a request can ask for. */
const mapping = {
  negative_prompt: 'negative_prompt',
  size: 'image_size',
  steps: 'num_inference_steps',
  guidance_scale: 'guidance_scale',
  strength: 'strength',
  style: 'style',
  loras: 'loras',
  reference_image: 'image_url',
  depth_map: 'control_image_url',
  mask: 'mask_url',
};

generatorConformance('FalAIGenerator', {
  reportsSteps: false,
  async create(clock) {
    const server = await startFalServer();
    onTestFinished(() => server.close());
    return falGenerator(server, { clock, changes: { fal: { mapping, prices: {} } } });
  },
});
