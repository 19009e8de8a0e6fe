import { join } from 'node:path';
import { execPath } from 'node:process';
import { DatabaseSync } from 'node:sqlite';
import { expect } from 'vitest';
import type { Launched } from '../launch.ts';
import { launch } from '../launch.ts';

const LAUNCHER = join(import.meta.dirname, '..', '..', 'bin', 'image-server.cjs');

/** Which events are the end of a render; of several images, the first one says that they are there. */
const IS_END = `(type = 'ImageReady' AND body ->> 'index' = 0) OR type IN ('RenderFailed', 'RenderCancelled')`;

/** A render, as far as these tests look at it. */
export interface Render {
  readonly id: string;
  readonly request_id: string;
  readonly status: string;
  readonly cached: boolean;
  readonly images: readonly { readonly image_id: string; readonly url: string }[];
  readonly attempts: readonly { readonly outcome?: string }[];
  readonly error?: { readonly code: string; readonly message: string };
}

/** An answer with its body, parsed when it is JSON. */
export interface Answer {
  readonly status: number;
  // The shape is what the test asserts.
  // biome-ignore lint/suspicious/noExplicitAny: tests look into bodies of every shape
  readonly body: any;
}

/** The real binary, ready. */
export interface Server extends Launched {
  readonly url: string;
  call(method: string, path: string, body?: object): Promise<Answer>;
  /** Asks for a small render. */
  submit(body?: object): Promise<Answer>;
  /** Waits for the end of a render. */
  over(id: string): Promise<Render>;
  /** Resolves when a call answers as it should. */
  until(path: string, wanted: (answer: Answer) => boolean): Promise<Answer>;
  /** Stops it, and looks whether the journal holds these renders, no others, and one end of each. */
  endsOnce(ids: readonly string[], dataDir?: string): Promise<void>;
}

/** Starts `image-server serve` in a folder, behind another program (`prlimit`, `setpriv`) if need be. */
export function launchBehind(command: readonly string[], dir: string, args: readonly string[]): Launched {
  const [program = execPath, ...first] = [...command, execPath, LAUNCHER];
  const fixed = ['serve', '--http.port', '0', '--bus.enabled', 'false', '--mock.style', 'placeholder'];
  return launch(dir, [...fixed, ...args], {}, [program, ...first]);
}

/** As `launchBehind`; resolves when the server is ready. */
export async function startServer(dir: string, args: readonly string[] = [], command: readonly string[] = []) {
  const launched = launchBehind(command, dir, args);
  const url = String((await launched.line('the server is ready')).url);

  async function call(method: string, path: string, body?: object): Promise<Answer> {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: body === undefined ? {} : { 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const isJson = response.headers.get('content-type')?.includes('json') === true;
    return { status: response.status, body: isJson ? await response.json() : await response.arrayBuffer() };
  }

  const server: Server = {
    ...launched,
    url,
    call,
    submit: (body = {}) => call('POST', '/v1/renders', { prompt: 'a delta', width: 64, height: 64, ...body }),
    async over(id) {
      const isOver = ({ body }: Answer) => ['succeeded', 'failed', 'cancelled'].includes(body.status);
      return (await server.until(`/v1/renders/${id}`, isOver)).body;
    },
    async until(path, wanted) {
      for (;;) {
        const answer = await call('GET', path);
        if (wanted(answer)) return answer;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
    async endsOnce(ids, dataDir = join(dir, 'data')) {
      launched.child.kill('SIGTERM');
      expect(await launched.ended).toBe(0);
      const database = new DatabaseSync(join(dataDir, 'journal.db'), { readOnly: true });
      const read = (sql: string) =>
        database
          .prepare(sql)
          .all()
          .map(({ found }) => found);
      expect(read('SELECT integrity_check AS found FROM pragma_integrity_check')).toEqual(['ok']);
      expect(read('SELECT id AS found FROM renders ORDER BY id')).toEqual(ids.toSorted());
      expect(read(`SELECT render_id AS found FROM events WHERE ${IS_END} ORDER BY render_id`)).toEqual(ids.toSorted());
      database.close();
    },
  };
  return server;
}
