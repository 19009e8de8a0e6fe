import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { startServer } from '../faults/server.ts';
import { scratch } from './children/parts.ts';
import type { Sample, Scenario } from './compare.ts';
import { fillJournal, fillStore, interruptAll } from './journals.ts';

const RENDERS = 10_000;
const IMAGES = 100_000;

/** How long it takes from the start of the process until the server is ready, by what the last one left. */
export function recoveryScenario(): Scenario {
  return {
    name: 'recovery',
    about:
      'starts with 10 000 renders that wait, with 10 000 that were running at a kill, and with 100 000 images, ' +
      'beside a start with nothing (aim: each ready within 2000 ms)',
    ratioOf: 'starts/s, waiting',
    async start() {
      const { dir, remove } = await scratch();
      const left = (name: string) => join(dir, name);
      await fillJournal(left('nothing'), 0);
      await fillJournal(left('waiting'), RENDERS);
      await cp(left('waiting'), left('running'), { recursive: true });
      interruptAll(left('running'));
      await fillStore(left('images'), IMAGES);

      /** Always from a fresh copy of the journal; the images are only read. */
      async function readyMs(name: string): Promise<number> {
        const run = left(`${name}-run`);
        await cp(join(left(name), 'data'), join(run, 'data'), { recursive: true });
        const args = ['--cache_dir', join(left(name), 'images'), '--mock.delay_s', '3600'];
        const server = startServer({ dir: run, args, env: {} });
        const { afterMs } = await server.ready;
        server.signal('SIGKILL');
        await server.ended;
        await rm(run, { recursive: true });
        return afterMs;
      }

      return {
        async ours(): Promise<Sample> {
          const waiting = await readyMs('waiting');
          return {
            'starts/s, waiting': 1000 / waiting,
            'ready ms, waiting': waiting,
            'ready ms, running': await readyMs('running'),
            'ready ms, images': await readyMs('images'),
          };
        },
        async baseline(): Promise<Sample> {
          const nothing = await readyMs('nothing');
          return { 'starts/s, waiting': 1000 / nothing, 'ready ms, waiting': nothing };
        },
        stop: remove,
      };
    },
  };
}
