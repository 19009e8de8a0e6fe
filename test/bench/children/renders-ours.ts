import { isLast } from '../../../src/render/waits.ts';
import { runChild } from '../child.ts';
import { startOurs } from './ours.ts';
import { benchConfig, RENDERS, requestFor, scratch } from './parts.ts';

const { dir, remove } = await scratch();
const server = await startOurs({
  config: benchConfig(dir),
});
let seed = 0;

runChild({
  async work() {
    const { promise, resolve } = Promise.withResolvers<void>();
    let open = RENDERS;
    const unsubscribe = server.renders.subscribe(({ event }) => {
      if (!isLast(event)) return;
      open -= 1;
      if (open === 0) resolve();
    });
    const started = performance.now();
    for (let render = 0; render < RENDERS; render += 1) {
      seed += 1;
      await server.renders.submit({
        caller: { owner: 'bench', door: 'rest' },
        request: requestFor(seed),
        mode: 'strict',
      });
    }
    await promise;
    unsubscribe();
    return { rendersPerSecond: (RENDERS * 1000) / (performance.now() - started) };
  },
  async stop() {
    await server.stop();
    await remove();
  },
});
