import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { AppError } from '../../src/errors.ts';
import { endedRender, json, problem, scriptedServer } from '../client/scripted-server.ts';
import { sharedServer } from '../client/shared-server.ts';
import { temporaryDir } from '../helper.ts';
import { launch } from '../launch.ts';
import { problemOf, run } from './run.ts';

const server = sharedServer();
const SMALL = ['--width', '64', '--height', '64'];
const ID = /^[0-9a-f]{8}-[0-9a-f-]{27}$/;

/** Runs `render` with the address of this file's server in the environment. */
async function render(dir: string, ...args: string[]) {
  return await run(dir, ['render', ...args], { IMAGE_SERVER_URL: server.url });
}

describe('image-server render', () => {
  it('prints the id of the accepted render', async () => {
    const dir = await temporaryDir();
    const { code, lines, stderr } = await render(dir, 'A river', ...SMALL);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(lines).toEqual([expect.stringMatching(ID)]);
  });

  it('waits with --wait and prints where the image is', async () => {
    const dir = await temporaryDir();
    const [text, parsed] = await Promise.all([
      render(dir, 'A river', ...SMALL, '--wait', '--seed', '7'),
      render(dir, 'A river', ...SMALL, '--wait', '--json', '--metadata', 'room=2'),
    ]);
    expect(text.code).toBe(0);
    expect(text.lines).toEqual([expect.stringMatching(/^http:.*\/v1\/images\/[0-9a-f]{64} {2}64x64 png, seed 7$/)]);
    expect(parsed).toMatchObject({ code: 0, stderr: '' });
    expect(parsed.lines).toMatchObject([{ status: 'succeeded', images: [{ width: 64 }], metadata: { room: '2' } }]);
  });

  it('saves the image in the format that the extension names, whole and under its name only', async () => {
    const dir = await temporaryDir();
    await mkdir(join(dir, 'sub'));
    const extensions = ['jpg', 'png'];
    for (const extension of extensions) {
      const { code, lines } = await render(dir, 'A river', ...SMALL, '-o', `sub/river.${extension}`);
      expect([code, lines]).toEqual([0, [join(dir, 'sub', `river.${extension}`)]]);
      const { format } = await sharp(await readFile(join(dir, 'sub', `river.${extension}`))).metadata();
      expect(format).toBe(extension === 'jpg' ? 'jpeg' : 'png');
    }
    expect((await readdir(join(dir, 'sub'))).sort()).toEqual(extensions.map((one) => `river.${one}`).sort());
  });

  it('saves several images with numbers and replaces older files', async () => {
    const dir = await temporaryDir();
    await writeFile(join(dir, 'a.b-1.png'), 'old');
    const { code, lines } = await render(dir, 'A hill', ...SMALL, '--num-images', '2', '-o', 'a.b.png', '--json');
    expect(code).toBe(0);
    const files = ['a.b-1.png', 'a.b-2.png'];
    expect(lines).toMatchObject([{ status: 'succeeded', files: files.map((file) => join(dir, file)) }]);
    const [first, second] = await Promise.all(files.map((file) => readFile(join(dir, file))));
    expect(first?.equals(second ?? Buffer.alloc(0))).toBe(false);
    expect((await sharp(first).metadata()).width).toBe(64);
    expect((await readdir(dir)).sort()).toEqual(files);
  });

  it('sends a depth map, and names the flag when the file is none or is missing', async () => {
    const dir = await temporaryDir();
    await sharp({ create: { width: 64, height: 64, channels: 3, background: 'grey' } }).toFile(join(dir, 'depth.png'));
    await writeFile(join(dir, 'bad.png'), 'no image');
    const [good, bad, missing, folder] = await Promise.all([
      render(dir, 'x', ...SMALL, '--depth-map', 'depth.png', '--wait', '--json'),
      render(dir, 'x', ...SMALL, '--depth-map', 'bad.png'),
      render(dir, 'x', ...SMALL, '--depth-map', 'missing.png', '--json'),
      render(dir, 'x', ...SMALL, '--depth-map', '.'),
    ]);
    expect(good.code).toBe(0);
    expect(good.lines).toMatchObject([{ request: { depth_map: { image_id: expect.any(String) } } }]);
    expect(bad.code).toBe(2);
    expect(bad.stderr).toMatch(/^image-server: --depth-map: .*\.\n$/);
    expect(missing.code).toBe(2);
    expect(problemOf(missing)).toMatchObject({
      code: 'usage',
      message: expect.stringMatching(/--depth-map: missing.png.*no such/),
    });
    expect([folder.code, folder.stderr]).toEqual([
      2,
      expect.stringContaining('--depth-map: . cannot be read: it is a folder'),
    ]);
  });

  it('says which flag is wrong before anything is asked', async () => {
    const dir = await temporaryDir();
    const { url, asked } = await scriptedServer(json(202, endedRender()));
    const cases: [string[], string][] = [
      [['x', '--width', 'wide', '--seed', '-1'], '--width must be a whole number from 64 to 4096; --seed must be'],
      [['   ', '--lora', 'a:99'], 'PROMPT must not be blank; --lora must be a number from -10 to 10.'],
      [['x', '--metadata', 'room'], '--metadata must be KEY=VALUE'],
      [['x', '--output-format', 'gif'], '--output-format'],
      [['x', '--flavour', 'sweet'], "unknown option '--flavour'"],
      [[], "missing required argument 'prompt'"],
      [['x', '-o', 'x.gif'], '--output must end with one of .jpg, .png'],
      [['x', '--server', 'localhost:8080'], '--server must be a URL like'],
    ];
    const ended = await Promise.all(cases.map(([args]) => run(dir, ['render', '--server', url, ...args])));
    for (const [at, { code, stderr }] of ended.entries()) {
      expect([code, stderr]).toEqual([2, expect.stringContaining(cases[at]?.[1] ?? '')]);
      expect(stderr).toMatch(/^image-server: [^\n]*\n$/);
    }
    expect(asked).toEqual([]);
  });

  it('ends with 2 when the server finds the input wrong, with the field as its flag', async () => {
    const dir = await temporaryDir();
    const [generator, era, mask] = await Promise.all([
      render(dir, 'x', '--generator', 'nobody'),
      render(dir, 'x', '--era', 'tomorrow', '--json'),
      render(dir, 'x', '--generator', 'stepped', '--steps', '3'),
    ]);
    expect([generator.code, generator.stderr]).toEqual([2, expect.stringContaining('mock')]);
    expect(era.code).toBe(2);
    expect(problemOf(era)).toMatchObject({ code: 'invalid_request', status: 422, errors: [{ path: 'era' }] });
    expect(mask).toMatchObject({
      code: 2,
      stderr: 'image-server: --steps is not supported by the generator stepped.\n',
    });
  });

  it('ends with 1 when the render fails or is cancelled, and prints the render with --json', async () => {
    const dir = await temporaryDir();
    const failing = render(dir, 'x', '--generator', 'stepped', '--wait', '--json', '-o', 'never.png');
    (await server.stepped.call(server.stepped.calls.length + 1)).fail(new AppError('generator_failed', 'It broke.'));
    const failed = await failing;
    expect(failed.code).toBe(1);
    expect(failed.lines).toMatchObject([{ status: 'failed', files: [] }]);
    expect(problemOf(failed)).toMatchObject({
      code: 'generator_failed',
      message: expect.stringContaining('It broke.'),
    });
    expect(await readdir(dir)).toEqual([]);

    const waiting = render(dir, 'x', '--generator', 'stepped', '--wait', '--request-id', 'to-cancel');
    await server.stepped.call(server.stepped.calls.length + 1);
    await fetch(`${server.url}/v1/renders/to-cancel/cancel`, { method: 'POST' });
    const cancelled = await waiting;
    expect([cancelled.code, cancelled.lines]).toEqual([1, []]);
    expect(cancelled.stderr).toMatch(/^image-server: The render \S+ was cancelled: .*\.\n$/);
  });

  it('leaves the render running after an interrupt, says how to go on, and ends with 130', async () => {
    const dir = await temporaryDir();
    const args = ['render', 'x', '--generator', 'stepped', '-o', 'x.png', '--request-id', 'left'];
    const launched = launch(dir, args, { IMAGE_SERVER_URL: server.url });
    const step = await server.stepped.call(server.stepped.calls.length + 1);
    // It runs, so it was accepted; the command knows so once it waits, which the next line cannot see from outside.
    await expect.poll(() => fetch(`${server.url}/v1/renders/left`).then(({ status }) => status)).toBe(200);
    launched.child.kill('SIGINT');
    expect(await launched.ended).toBe(130);
    expect(launched.stderr()).toMatch(/^image-server: Interrupted[^\n]*\n$/);
    expect(step.hooks.signal.aborted).toBe(false);
    step.finish();
    const again = await run(dir, [...args, '--server', server.url]);
    expect([again.code, again.lines]).toEqual([0, [join(dir, 'x.png')]]);
  });

  it('says with which calls to go on when it is interrupted while it waits', async () => {
    const dir = await temporaryDir();
    let interrupt = () => {};
    const { url } = await scriptedServer(
      json(202, endedRender({ status: 'queued', finished_at: undefined })),
      // The answer is held: the command waits.
      () => interrupt(),
    );
    const launched = launch(dir, ['render', 'x', '--wait', '--json', '--server', url]);
    interrupt = () => void launched.child.kill('SIGINT');
    expect(await launched.ended).toBe(130);
    const address = `${url}/v1/renders/${endedRender().id}`;
    expect(JSON.parse(launched.stderr())).toEqual({
      code: 'interrupted',
      message: `Interrupted; the render goes on: curl ${address} shows it, curl -X POST ${address}/cancel ends it.`,
    });
  });

  it('tells by its exit code whether to try again, and when', async () => {
    const dir = await temporaryDir();
    const cases = [
      ['queue_full', 429, 75],
      ['internal', 500, 75],
      ['request_id_conflict', 409, 1],
    ] as const;
    const ended = await Promise.all(
      cases.map(async ([name, status]) => {
        const { url } = await scriptedServer(
          problem(status, name, { retryable: status >= 429 }, { 'retry-after': '7' }),
        );
        return await run(dir, ['render', 'x', '--server', url]);
      }),
    );
    expect(ended.map(({ code }) => code)).toEqual(cases.map(([, , code]) => code));
    expect(ended[0]?.stderr).toBe('image-server: It is queue_full; try again in 7 s.\n');
  });

  it('ends with 1 when what it saves cannot be written', async () => {
    const dir = await temporaryDir();
    await mkdir(join(dir, 'x.png'));
    const { code, stderr } = await render(dir, 'x', ...SMALL, '-o', 'x.png');
    expect([code, stderr]).toEqual([1, expect.stringMatching(/x\.png cannot be written: it is a folder\.\n$/)]);
    expect(await readdir(dir)).toEqual(['x.png']);
  });
});
