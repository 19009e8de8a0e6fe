import { randomUUID } from 'node:crypto';
import type { Journal } from '../../src/render/journal.ts';
import type { NewRender } from '../../src/render/records.ts';
import { openSqliteJournal } from '../../src/render/sqlite/journal.ts';
import { scratch } from './children/parts.ts';
import type { Sample, Scenario } from './compare.ts';
import { fillJournal } from './fill-journal.ts';

const FEW = 1000;
const MANY = 1_000_000;
/** Operations of one sample, a tenth of them at a time. */
const OPERATIONS = 1000;
const AT_ONCE = 100;

/** What the journal's operations cost with a thousand and with a million renders in it. */
export function journalScenario(): Scenario {
  return {
    name: 'journal',
    about:
      `operations of a journal with ${MANY} renders (ours) beside one with ${FEW} (baseline), in µs each ` +
      '(aim: each at most 1.3 times as much)',
    ratioOf: 'all µs',
    async start() {
      const many = await openFilled(MANY);
      const few = await openFilled(FEW);
      return {
        ours: () => sample(many.journal, MANY),
        baseline: () => sample(few.journal, FEW),
        async stop() {
          await Promise.all([many.close(), few.close()]);
        },
      };
    },
  };
}

async function openFilled(renders: number) {
  const { dir, remove } = await scratch();
  await fillJournal(dir, renders);
  const journal = await openSqliteJournal({
    dir,
    onFatal: (error) => {
      throw error;
    },
  });
  while ((await journal.indexPrompts({})).left);
  const close = async () => {
    await journal.close();
    await remove();
  };
  return { journal, close };
}

async function sample(journal: Journal, renders: number): Promise<Sample> {
  const oldest = (at: number) => 1 + ((at * 7919) % renders);
  const submitted = await timed(async () => {
    const outcome = await journal.accept({ renders: [newRender()], maxQueued: 1e9 });
    if (outcome.kind !== 'taken') throw new Error(`a render was not taken but ${outcome.kind}`);
  });
  const completed = await timed(async () => {
    const work = await journal.claim({ generator: 'draw', at: Date.now(), steadyAt: Date.now() });
    if (work === undefined) throw new Error('there was no work');
    const { workId, attempt } = work;
    const imageId = randomUUID().replaceAll('-', '').padEnd(64, '0');
    const image = { imageId, format: 'jpeg', width: 64, height: 64, bytes: 1000, seed: 1 } as const;
    const result = { kind: 'succeeded', images: [image], renderMs: 1, storeMs: 1 } as const;
    const { settled } = await journal.finish({ workId, attempt, result, ranMs: 1, at: Date.now() });
    if (settled.length !== 1) throw new Error('a render was not ended');
  });
  const listed = await timed((at) =>
    journal.listRenders({ filters: at % 2 === 0 ? { era: 'ruins' } : { status: 'failed' }, limit: 20 }),
  );
  const searched = await timed(async (at) => {
    // A word of every prompt, and one that is only begun, of some: both journals have more than a page of them.
    const { renders: found } = await journal.listRenders({ filters: { text: `landscape light${at % 59}` }, limit: 10 });
    if (found.length !== 10) throw new Error(`${found.length} renders were found for a page`);
  });
  const got = await timed((at) => journal.findRender({ id: idOf(oldest(at)), owner: 'anonymous' }));
  const each = {
    'submit µs': submitted,
    'complete µs': completed,
    'list µs': listed,
    'search µs': searched,
    'get µs': got,
  };
  return { ...each, 'all µs': submitted + completed + listed + searched + got };
}

/** Mean of one operation, in µs, when many come at once. */
async function timed(operation: (at: number) => Promise<unknown>, operations = OPERATIONS): Promise<number> {
  const begun = performance.now();
  for (let done = 0; done < operations; done += AT_ONCE) {
    await Promise.all(Array.from({ length: AT_ONCE }, (_, at) => operation(done + at)));
  }
  return ((performance.now() - begun) * 1000) / operations;
}

function idOf(n: number): string {
  const hex = (value: number, digits: number) => value.toString(16).padStart(digits, '0');
  return `01900000-${hex(n >> 16, 4)}-7${hex(n & 4095, 3)}-8000-${hex(n, 12)}`;
}

function newRender(): NewRender {
  const id = randomUUID();
  return {
    ...{ id, requestId: id, workId: id, owner: 'anonymous', door: 'rest', bodyHash: id },
    request: { prompt: 'a landscape seen from above', era: 'ruins', biome: 'plains' },
    spec: {
      ...{ prompt: 'a landscape seen from above', width: 64, height: 64, seed: 1, numImages: 1 },
      ...{ outputFormat: 'jpeg', quality: 90 },
    },
    ...{ ignored: [], inputs: [], generator: 'draw', priority: 0, clearQueue: false, fallback: true, useCache: true },
    ...{
      timeoutMs: 120_000,
      queueTimeoutMs: 600_000,
      queueUntil: Date.now() + 600_000,
      createdAt: Date.now(),
      steadyAt: Date.now(),
    },
  };
}
