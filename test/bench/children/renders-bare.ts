import { runChild } from '../child.ts';
import { openBare } from './bare.ts';
import { RENDERS, requestFor, scratch } from './parts.ts';

const { dir, remove } = await scratch();
const { images, store, generator, inserts } = await openBare(dir);
let seed = 0;

/** Drawn by the same strokes, encoded by the same sharp, stored by the same steps: without queue, journal and events. */
async function renderOnce(): Promise<void> {
  seed += 1;
  const request = requestFor(seed);
  await inserts.insert(JSON.stringify(request));
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
  const [image] = await generator.generate({ ...request, workId: String(seed), numImages: 1 }, hooks);
  if (image === undefined) throw new Error('the generator drew nothing');
  const { bytes } = await images.encode(image, { format: 'png', quality: 100 });
  const { imageId } = await store.save(bytes, 'png');
  await inserts.insert(imageId);
  await store.setLatest(imageId, 'png');
}

runChild({
  async work() {
    const started = performance.now();
    for (let render = 0; render < RENDERS; render += 1) await renderOnce();
    return { rendersPerSecond: (RENDERS * 1000) / (performance.now() - started) };
  },
  async stop() {
    await generator.close();
    inserts.close();
    await remove();
  },
});
