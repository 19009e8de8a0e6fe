import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { parseSchedulerConfig } from '../../../src/generators/local-sdxl/schedulers/config.ts';
import { checkScheduler, SCHEDULER_NAMES } from '../../../src/generators/local-sdxl/schedulers/index.ts';

const page = await readFile(new URL('../../../docs/generators/local-sdxl.md', import.meta.url), 'utf8');

/** What the text of a `scheduler_config.json` with this class and setting comes to. */
function read(className: string, setting: object): void {
  checkScheduler(parseSchedulerConfig(JSON.stringify({ _class_name: className, ...setting })));
}

const MULTISTEP = ['DPMSolverMultistepScheduler', 'UniPCMultistepScheduler'];

it.each([
  [['EulerDiscreteScheduler', ...MULTISTEP], 'use_beta_sigmas', true],
  [MULTISTEP, 'use_flow_sigmas', true],
  [MULTISTEP, 'prediction_type', 'flow_prediction'],
  [['DPMSolverMultistepScheduler'], 'algorithm_type', 'dpmsolver'],
  [['DPMSolverMultistepScheduler'], 'algorithm_type', 'sde-dpmsolver'],
  [['UniPCMultistepScheduler'], 'predict_x0', false],
  [['UniPCMultistepScheduler'], 'solver_p', { _class_name: 'DPMSolverMultistepScheduler' }],
  [SCHEDULER_NAMES, 'thresholding', true],
  [['EulerAncestralDiscreteScheduler'], 'prediction_type', 'sample'],
  [['EulerDiscreteScheduler', 'DDIMScheduler', ...MULTISTEP], 'timesteps', [999, 499]],
])('%s refuse %s = %j by name, and the page says so', (classes, key, value) => {
  for (const name of classes) {
    read(name, {});
    const named = expect.objectContaining({ code: 'config_invalid', message: expect.stringContaining(key) });
    expect(() => read(name, { [key]: value })).toThrow(named);
  }
  expect(page).toMatch(new RegExp(`^\\|.*\`${key}(:.*)?\``, 'm'));
});

it('refuses classes that it has not, and says which it has', () => {
  for (const name of [
    'PNDMScheduler',
    'HeunDiscreteScheduler',
    'DEISMultistepScheduler',
    'FlowMatchEulerDiscreteScheduler',
  ]) {
    expect(() => read(name, {})).toThrow(`There is no sampler ${name} here; there are ${SCHEDULER_NAMES.join(', ')}.`);
  }
});
