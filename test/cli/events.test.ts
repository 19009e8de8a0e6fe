import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { createClient } from '../../src/client/client.ts';
import { deadAddress } from '../client/scripted-server.ts';
import { sharedServer } from '../client/shared-server.ts';
import { startApp, temporaryDir } from '../helper.ts';
import type { Launched } from '../launch.ts';
import { launch } from '../launch.ts';
import { problemOf, run } from './run.ts';

const server = sharedServer();

/** Resolves with the first line of output that is this type's, as text or as JSON. */
async function lineOf({ child, lines, ended }: Launched, type: string): Promise<Record<string, unknown>> {
  const over = ended.then((code) => {
    throw new Error(`it ended with ${code} before ${type}`);
  });
  over.catch(() => {});
  for (;;) {
    const found = lines.find((line) => line.type === type || String(line.msg).includes(type));
    if (found !== undefined) return found;
    await Promise.race([new Promise((resolve) => child.stdout.once('data', () => setImmediate(resolve))), over]);
  }
}

describe('image-server events', () => {
  it('prints a line for each event until it is interrupted', async () => {
    const launched = launch(await temporaryDir(), ['events'], { IMAGE_SERVER_URL: server.url });
    await lineOf(launched, 'Hello');
    const client = createClient({ server: server.url });
    await client.render({ request_id: 'seen', prompt: 'a "b" c', width: 64, height: 64 });
    const { msg } = await lineOf(launched, 'ImageReady');
    expect(msg).toMatch(/^\d{4}-\d\d-\d\dT\S+Z #\d+ ImageReady render_id=\S+ request_id=seen /);
    expect(msg).toContain(String.raw`prompt="a \"b\" c"`);
    launched.child.kill('SIGINT');
    expect(await launched.ended).toBe(130);
    expect(launched.stderr()).toBe('');
  });

  it('prints each event as it came with --json, and only the types that are asked for', async () => {
    const args = ['events', '--json', '--type', 'Hello', 'ImageReady', '--server', server.url];
    const launched = launch(await temporaryDir(), args);
    await lineOf(launched, 'Hello');
    const socket = new WebSocket(`${server.url.replace('http', 'ws')}/v1/events`);
    const sent = new Promise((resolve) => {
      socket.on('message', (data) => {
        const message = JSON.parse(String(data));
        if (message.type === 'ImageReady') resolve(message);
      });
    });
    await new Promise((resolve) => socket.once('open', resolve));
    await createClient({ server: server.url }).render({ prompt: 'x', width: 64, height: 64 });
    expect(await lineOf(launched, 'ImageReady')).toEqual(await sent);
    socket.terminate();
    expect(launched.lines.map(({ type }) => type)).toEqual(['Hello', 'ImageReady']);
  });

  it('ends with 69 when the server stops or does not answer, and with 2 for a type that there is not', async () => {
    const dir = await temporaryDir();
    const app = await startApp();
    const launched = launch(dir, ['events', '--server', app.url]);
    await lineOf(launched, 'Hello');
    await app.stop();
    expect(await launched.ended).toBe(69);
    expect(launched.stderr()).toMatch(/^image-server: The event stream ended: [^\n]*\.\n$/);

    const [dead, wrong] = await Promise.all([
      run(dir, ['events', '--json', '--server', await deadAddress()]),
      run(dir, ['events', '--type', 'Nothing']),
    ]);
    expect(dead.code).toBe(69);
    expect(problemOf(dead)).toMatchObject({ code: 'unreachable', retryable: true });
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining('ImageReady')]);
  });

  it('ends when nobody reads it any more', async () => {
    const launched = launch(await temporaryDir(), ['events', '--server', server.url]);
    await lineOf(launched, 'Hello');
    launched.child.stdout.destroy();
    await createClient({ server: server.url }).render({ prompt: 'x', width: 64, height: 64 });
    expect(await launched.ended).toBe(0);
  });
});
