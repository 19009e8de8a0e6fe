import { fork } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { configSchema } from '../../../src/config/schema.ts';
import { LocalSDXLGenerator } from '../../../src/generators/local-sdxl/local-sdxl-generator.ts';
import { linkTo } from '../../../src/generators/local-sdxl/process/child-link.ts';
import { createLog } from '../../../src/observe/log.ts';
import { systemClock } from '../../../src/render/clock.ts';
import { createImages } from '../../../src/store/convert.ts';
import { runChild } from '../child.ts';
import type { SdxlReport } from '../sdxl.ts';
import { SIDE, STEPS, THREADS, tinyModelFolder } from './sdxl-parts.ts';

const { dir, remove } = await tinyModelFolder();
const main = new URL('../../../src/generators/local-sdxl/process/child.ts', import.meta.url);
let pid: number | undefined;
const generator = new LocalSDXLGenerator({
  config: configSchema.parse({ local_sdxl: { model_dir: dir, threads: THREADS } }).local_sdxl,
  required: true,
  drawing: createImages({ maxPixels: SIDE * SIDE, maxBytes: 2 ** 24 }),
  clock: systemClock,
  log: createLog({ level: 'warn', target: process.stderr, pretty: false }),
  observeStep: () => {},
  onHealth: () => {},
  startChild(listener) {
    const child = fork(main, { serialization: 'advanced', execArgv: [], stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
    pid = child.pid;
    return linkTo(child, listener);
  },
});
const begun = performance.now();
await generator.start();
const coldStartMs = performance.now() - begun;
let seed = 0;

runChild({
  async work(): Promise<SdxlReport> {
    seed += 1;
    const started = performance.now();
    await generator.generate(
      { workId: String(seed), prompt: 'a river delta', width: SIDE, height: SIDE, seed, numImages: 1, steps: STEPS },
      {
        signal: new AbortController().signal,
        remoteId: undefined,
        onProgress: () => {},
        wantsPreview: () => false,
        onPreview: () => {},
        onRemoteId: async () => {},
        onDetached: () => {},
        onCost: () => {},
      },
    );
    const rendersPerSecond = 1000 / (performance.now() - started);
    return { rendersPerSecond, coldStartMs, memoryMb: await peakMemoryMb() };
  },
  async stop() {
    await generator.close();
    await remove();
  },
});

/** As the kernel counts it; Linux only, like the server's numbers in the documents. */
async function peakMemoryMb(): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
}
