import { DatabaseSync } from 'node:sqlite';
import { z } from 'zod';

/** A request as it was accepted; its name is the schedule's, whatever its `request_id`. */
const request = z.looseObject({
  prompt: z.string(),
  generator: z.string().optional(),
  fallback: z.boolean().optional(),
  metadata: z.object({ id: z.string() }),
});

const error = z
  .string()
  .nullable()
  .transform((json) => (json === null ? undefined : z.looseObject({ code: z.string() }).parse(JSON.parse(json))));

const rows = {
  renders: z.object({
    id: z.string(),
    batch_id: z.string().nullable(),
    work_id: z.string(),
    status: z.string(),
    generator: z.string(),
    fallback_from: z.string().nullable(),
    request: z.string().transform((json) => request.parse(JSON.parse(json))),
    error,
  }),
  works: z.object({ id: z.string(), status: z.string(), generator: z.string() }),
  attempts: z.object({
    work_id: z.string(),
    attempt: z.int(),
    generator: z.string(),
    ended_at: z.int().nullable(),
    outcome: z.string().nullable(),
    error,
    remote_id: z.string().nullable(),
  }),
  events: z.object({
    seq: z.int(),
    type: z.string(),
    render_id: z.string().nullable(),
    body: z.string().transform((json) => z.looseObject({}).parse(JSON.parse(json))),
  }),
  images: z.object({ image_id: z.string(), evicted_at: z.int().nullable() }),
  queue_counts: z.object({ generator: z.string(), queued: z.int() }),
} as const;

type Tables = { readonly [T in keyof typeof rows]: readonly z.infer<(typeof rows)[T]>[] };

/** A render, an attempt, an event as they lie in the journal. */
export type JournalledRender = Tables['renders'][number];
export type JournalledAttempt = Tables['attempts'][number];
export type JournalledEvent = Tables['events'][number];

/** What lies in a journal that no server has open. */
export interface JournalContent extends Tables {
  readonly logId: string;
  /** What SQLite itself finds wrong with the file. */
  readonly damage: readonly string[];
}

/** Reads a journal's file, and nothing of the server's own code with it. */
export function readJournalFile(path: string): JournalContent {
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    const all = (sql: string): unknown[] => database.prepare(sql).all();
    const read = <T extends keyof typeof rows>(table: T, order = 'rowid') =>
      z.array(rows[table]).parse(all(`SELECT * FROM ${table} ORDER BY ${order}`));
    const [integrity] = z.array(z.object({ integrity_check: z.string() })).parse(all('PRAGMA integrity_check'));
    const foreign = all('PRAGMA foreign_key_check').map((row) => `a broken reference: ${JSON.stringify(row)}`);
    const [log] = z.array(z.object({ value: z.string() })).parse(all(`SELECT value FROM meta WHERE key = 'log_id'`));
    return {
      renders: read('renders', 'ord'),
      works: read('works', 'ord'),
      attempts: read('attempts', 'work_id, attempt'),
      events: read('events', 'seq'),
      images: read('images', 'image_id'),
      queue_counts: read('queue_counts', 'generator'),
      logId: log?.value ?? '',
      damage: integrity?.integrity_check === 'ok' ? foreign : [`integrity_check: ${integrity?.integrity_check}`],
    };
  } finally {
    database.close();
  }
}

/** How many renders ended how. */
export function describeEnds({ renders }: JournalContent): string {
  const ends = Object.groupBy(renders, ({ status, error }) => error?.code ?? status);
  return `${renders.length} renders (${Object.entries(ends)
    .map(([end, all]) => `${all?.length} ${end}`)
    .join(', ')})`;
}
