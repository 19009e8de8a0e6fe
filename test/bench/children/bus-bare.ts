import { Pull, Push } from 'zeromq';
import { z } from 'zod';
import { runChild } from '../child.ts';
import { openBare } from './bare.ts';
import { busAddresses, scratch } from './parts.ts';

const request = z.object({
  request_id: z.string(),
  prompt: z.string(),
  width: z.int(),
  height: z.int(),
  seed: z.int(),
  era: z.string(),
  biome: z.string(),
});

const { dir, remove } = await scratch();
const { requests, results } = busAddresses(dir);
const { images, store, generator, inserts } = await openBare(dir);
const pull = new Pull({ linger: 0 });
const push = new Push({ linger: 0 });
pull.connect(requests);
push.connect(results);
const reading = readAll();

/** Reads, draws and answers one after the other, with the same strokes, encoder and durable writes as the server. */
async function readAll(): Promise<void> {
  for await (const [frame] of pull) {
    const text = String(frame);
    await push.send(JSON.stringify(await answer(text)));
  }
}

async function answer(text: string): Promise<object> {
  const { request_id, prompt, width, height, seed, era, biome } = request.parse(JSON.parse(text));
  await inserts.insert(text);
  const hooks = {
    signal: new AbortController().signal,
    onProgress: () => undefined,
    wantsPreview: () => false,
    onPreview: () => undefined,
    remoteId: undefined,
    onRemoteId: async () => undefined,
    onDetached: () => undefined,
    onCost: () => undefined,
  };
  const work = { prompt, width, height, seed, era, biome, workId: request_id, numImages: 1 };
  const [image] = await generator.generate(work, hooks);
  if (image === undefined) throw new Error('the generator drew nothing');
  const { bytes } = await images.encode(image, { format: 'jpeg', quality: 90 });
  const { imageId } = await store.save(bytes, 'jpeg');
  await inserts.insert(imageId);
  await store.setLatest(imageId, 'jpeg');
  const uri = `file://${store.pathOf(imageId, 'jpeg')}`;
  return { type: 'ImageReady', request_id, uri, prompt, era, biome };
}

runChild({
  url: dir,
  async stop() {
    pull.close();
    push.close();
    await reading;
    await generator.close();
    inserts.close();
    await remove();
  },
});
