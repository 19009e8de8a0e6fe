import { readdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setImmediate } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import type { CorePeer } from './fakes/core-peer.ts';
import { startCorePeer } from './fakes/core-peer.ts';
import { temporaryDir } from './helper.ts';
import { launch, launchServer } from './launch.ts';

async function post(url: string, body: object, headers: Record<string, string> = {}) {
  const response = await fetch(`${url}/v1/renders`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  return (await response.json()) as { id: string; status: string; attempts: { outcome?: string }[] };
}

async function until(url: string, id: string, status: string) {
  for (;;) {
    const response = await fetch(`${url}/v1/renders/${id}`);
    const render = (await response.json()) as { status: string; attempts: { outcome?: string }[] };
    if (render.status === status) return render;
  }
}

/** Resolves once a request has come back with an answer, and so the bus is up both ways. */
async function answered(core: CorePeer): Promise<void> {
  await core.send({ type: 'RenderRequest', request_id: 'up', prompt: 'x', era: 'wilderness', biome: 'river' });
  await core.answerTo('up');
}

describe('image-server serve', () => {
  it('serves, and ends with 0 after SIGTERM although a silent WebSocket is open', async () => {
    const server = await launchServer(await temporaryDir());
    const socket = new WebSocket(`${server.url.replace('http', 'ws')}/v1/events`);
    await new Promise((resolve) => socket.once('message', resolve));
    server.child.kill('SIGTERM');
    expect(await server.ended).toBe(0);
  });

  it('lets a running render end before it stops', async () => {
    const dir = await temporaryDir();
    const server = await launchServer(dir, '--mock.delay_s', '0.5');
    const { id } = await post(server.url, { prompt: 'x', width: 64, height: 64 });
    await server.line('render started');
    server.child.kill('SIGTERM');
    expect(await server.ended).toBe(0);
    const again = await launchServer(dir);
    expect((await until(again.url, id, 'succeeded')).attempts).toMatchObject([{ outcome: 'succeeded' }]);
  });

  it('hands back what is not done within drain_s, and renders it after the next start', async () => {
    const dir = await temporaryDir();
    const server = await launchServer(dir, '--mock.delay_s', '3600', '--http.drain_s', '0');
    const { id } = await post(server.url, { prompt: 'x', width: 64, height: 64 });
    await server.line('render started');
    server.child.kill('SIGTERM');
    expect(await server.ended).toBe(0);
    const again = await launchServer(dir);
    const { attempts } = await until(again.url, id, 'succeeded');
    expect(attempts).toMatchObject([{ outcome: 'released' }, { outcome: 'succeeded' }]);
  });

  it('loses nothing to SIGKILL: queued and running renders end after the next start', async () => {
    const dir = await temporaryDir();
    const server = await launchServer(dir, '--mock.delay_s', '3600');
    const renders = await Promise.all(
      Array.from({ length: 5 }, (_, i) =>
        post(server.url, { request_id: `r-${i}`, prompt: 'x', width: 64, height: 64 }),
      ),
    );
    await server.line('render started');
    server.child.kill('SIGKILL');
    expect(await server.ended).toBe('SIGKILL');

    const again = await launchServer(dir);
    expect(again.lines).toContainEqual(expect.objectContaining({ requeued: 1, failed: 0 }));
    for (const { id } of renders) await until(again.url, id, 'succeeded');
    expect((await post(again.url, { request_id: 'r-0', prompt: 'x', width: 64, height: 64 })).id).toBe(renders[0]?.id);
  });

  it('fails what it died with twice as crashed, instead of dying with it for ever', async () => {
    const dir = await temporaryDir();
    for (const _ of [1, 2]) {
      const server = await launchServer(dir, '--mock.delay_s', '3600');
      await post(server.url, { request_id: 'poison', prompt: 'x', width: 64, height: 64 });
      await server.line('render started');
      server.child.kill('SIGKILL');
      await server.ended;
    }
    const server = await launchServer(dir);
    expect(await until(server.url, 'poison', 'failed')).toMatchObject({ error: { code: 'crashed' } });
  });

  it('takes over what was stored, but not entered yet, when it is killed between', async () => {
    const dir = await temporaryDir();
    const server = await launchServer(dir, '--mock.delay_s', '2');
    const { id } = await post(server.url, { prompt: 'x', width: 64, height: 64 });
    await server.line('render started');
    // While another program writes, the end of the render cannot be.
    const other = new DatabaseSync(join(dir, 'data', 'journal.db'), { timeout: 5000 });
    other.exec('BEGIN IMMEDIATE');
    const stored = async () => {
      const found = await readdir(join(dir, 'images', 'renders'), { recursive: true }).catch(() => []);
      return found.filter((name) => name.endsWith('.png'));
    };
    while ((await stored()).length === 0) await setImmediate();
    server.child.kill('SIGKILL');
    await server.ended;
    other.close();
    const files = await stored();

    const again = await launchServer(dir, '--mock.delay_s', '3600');
    expect(again.lines).toContainEqual(expect.objectContaining({ adopted: 1, requeued: 0, failed: 0 }));
    expect((await until(again.url, id, 'succeeded')).attempts).toMatchObject([{ outcome: 'succeeded' }]);
    expect(await stored()).toEqual(files);
  });

  it('ends at once with 130 after a second signal', async () => {
    const server = await launchServer(await temporaryDir(), '--mock.delay_s', '3600', '--http.drain_s', '3600');
    await post(server.url, { prompt: 'x', width: 64, height: 64 });
    await server.line('render started');
    server.child.kill('SIGINT');
    await server.line('stopping; a second signal ends the process at once');
    server.child.kill('SIGINT');
    expect(await server.ended).toBe(130);
  });

  it('leaves a whole journal behind after a second signal: what ran and what waited goes on', async () => {
    const dir = await temporaryDir();
    const server = await launchServer(dir, '--mock.delay_s', '3600', '--http.drain_s', '3600');
    const renders = [];
    for (const seed of [1, 2, 3]) renders.push(await post(server.url, { seed, prompt: 'x', width: 64, height: 64 }));
    await server.line('render started');
    server.child.kill('SIGTERM');
    await server.line('stopping; a second signal ends the process at once');
    server.child.kill('SIGINT');
    expect(await server.ended).toBe(130);
    const again = await launchServer(dir);
    for (const { id } of renders) await until(again.url, id, 'succeeded');
  });

  it.each([
    ['an error that nothing caught', 'throw new Error("boom")'],
    ['a rejection that nothing handled', 'Promise.reject(new Error("boom"))'],
  ])('ends with 1 and a fatal line with the stack after %s, and loses nothing', async (_, statement) => {
    const dir = await temporaryDir();
    const armed = `data:text/javascript,process.on("SIGUSR2",()=>{${statement}})`;
    const args = ['serve', '--http.port', '0', '--bus.enabled', 'false', '--mock.delay_s', '3600'];
    const server = launch(dir, args, { NODE_OPTIONS: `--import ${encodeURI(armed)}` });
    const url = String((await server.line('the server is ready')).url);
    const { id } = await post(url, { prompt: 'x', width: 64, height: 64 });
    await server.line('render started');
    server.child.kill('SIGUSR2');
    expect(await server.ended).toBe(1);
    expect(server.lines.at(-1)).toMatchObject({
      level: 'fatal',
      err: { message: 'boom', stack: expect.stringContaining('Error: boom') },
    });
    const again = await launchServer(dir);
    await until(again.url, id, 'succeeded');
  });

  it('tells the core that it ends of an error, whether or not the core is there to hear it', async () => {
    const core = await startCorePeer();
    const dir = await temporaryDir();
    const bus = ['--bus.enabled', 'true', '--bus.requests', core.requests, '--bus.results', core.results];
    const armed = 'data:text/javascript,process.on("SIGUSR2",()=>{throw new Error("boom")})';
    const args = ['serve', '--http.port', '0', ...bus];
    for (const there of [true, false]) {
      const server = launch(dir, args, { NODE_OPTIONS: `--import ${encodeURI(armed)}` });
      await server.line('the server is ready');
      if (there) await answered(core);
      else await core.close();
      server.child.kill('SIGUSR2');
      if (there)
        expect(await core.answerTo(null)).toMatchObject({ type: 'Alert', severity: 'error', code: 'internal' });
      expect(await server.ended).toBe(1);
    }
  });

  it('goes on when the reader of its log leaves', async () => {
    const server = await launchServer(await temporaryDir());
    server.child.stdout.destroy();
    const body = { request_id: 'unread', prompt: 'x', width: 64, height: 64 };
    expect(await post(server.url, body, { prefer: 'wait=60' })).toMatchObject({ status: 'succeeded' });
    server.child.kill('SIGTERM');
    expect(await server.ended).toBe(0);
  });

  it('hears the signals that npm start gets', async () => {
    const dir = await temporaryDir();
    const folders = ['--data_dir', join(dir, 'data'), '--cache_dir', join(dir, 'images')];
    const args = ['start', '--silent', '--', '--http.port', '0', '--bus.enabled', 'false', ...folders];
    const npm = launch(join(import.meta.dirname, '..'), args, { HOME: dir }, ['npm']);
    const { url } = await npm.line('the server is ready');
    npm.child.kill('SIGTERM');
    expect(await npm.ended).toBe(0);
    await expect(fetch(`${url}/health/live`)).rejects.toThrow();
  });

  it('goes on after SIGHUP', async () => {
    const server = await launchServer(await temporaryDir());
    server.child.kill('SIGHUP');
    await server.line('the server goes on');
    expect((await fetch(`${server.url}/health/live`)).status).toBe(200);
  });

  it('ends with 78 and names key, value, expectation, source and nearest key when the configuration is wrong', async () => {
    const dir = await temporaryDir();
    await writeFile(join(dir, 'config.toml'), '[http]\nprot = 9000\nport = "high"\n');
    const wrong = launch(dir, ['serve', '--generator.strategy', 'nope']);
    expect(await wrong.ended).toBe(78);
    expect(wrong.stderr()).toMatch(/prot.*config\.toml.*port/s);
    expect(wrong.stderr()).toMatch(/port = "high".*65535/s);
    const unknown = launch(dir, ['serve', '--config', '/dev/null', '--generator.strategy', 'nope']);
    expect(await unknown.ended).toBe(78);
    expect(unknown.stderr()).toMatch(/\[generator\] strategy = "nope".*mock/);
  });

  it('ends with 78 when the mock has no folder to show', async () => {
    const dir = await temporaryDir();
    const args = ['serve', '--http.port', '0', '--bus.enabled=false', '--mock.style', 'existing'];
    const wrong = launch(dir, [...args, '--mock.images_dir', join(dir, 'missing')]);
    expect(await wrong.ended).toBe(78);
    expect(wrong.stderr()).toContain('[mock] images_dir');
  });

  it.each([
    ['cache_dir', '--cache_dir'],
    ['data_dir', '--data_dir'],
  ])('ends with 78 and names %s when it cannot be written', async (key, flag) => {
    const wrong = launch(await temporaryDir(), [
      'serve',
      '--http.port',
      '0',
      '--bus.enabled=false',
      flag,
      '/dev/null/x',
    ]);
    expect(await wrong.ended).toBe(78);
    expect(wrong.stderr()).toContain(key);
  });

  it('answers who waits for a render when it stops', async () => {
    const server = await launchServer(await temporaryDir(), '--mock.delay_s', '3600', '--http.drain_s', '0');
    const waiting = post(server.url, { request_id: 'held', prompt: 'x' }, { prefer: 'wait=60' });
    await server.line('render started');
    server.child.kill('SIGTERM');
    expect(await waiting).toMatchObject({ request_id: 'held', status: 'queued' });
    expect(await server.ended).toBe(0);
  });

  it('ends with 69 when the port is taken, naming it, before it has opened anything', async () => {
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void holder.close());
    const address = holder.address();
    const port = String(typeof address === 'object' ? address?.port : address);
    const dir = await temporaryDir();
    const second = launch(dir, ['serve', '--http.port', port, '--bus.enabled', 'false']);
    expect(await second.ended).toBe(69);
    expect(second.stderr()).toContain(port);
    expect(await readdir(dir)).toEqual([]);
  });

  it('ends with 75 when another process uses the data directory', async () => {
    const dir = await temporaryDir();
    await launchServer(dir);
    const second = launch(dir, ['serve', '--http.port', '0', '--bus.enabled', 'false']);
    expect(await second.ended).toBe(75);
    expect(second.stderr()).toContain('data directory');
  });

  it('ends with 2 for a command that it does not know', async () => {
    const wrong = launch(await temporaryDir(), ['sing']);
    expect(await wrong.ended).toBe(2);
    expect(wrong.stderr()).toContain("unknown command 'sing'");
  });

  it('sets the size of the thread pool before anything uses it', async () => {
    const dir = await temporaryDir();
    const server = await launchServer(dir);
    const status = await import('node:fs/promises').then(({ readdir }) => readdir(`/proc/${server.child.pid}/task`));
    // Main, V8's workers and the journal's thread alone are fewer than these.
    expect(status.length).toBeGreaterThanOrEqual(16);
  });
});
