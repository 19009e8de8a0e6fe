// Proves the Dockerfile without a container engine: lays out its files in a plain folder, as its COPY lines say, with
// production dependencies only, and runs its command and its health check there as its unprivileged user.
import type { ChildProcess } from 'node:child_process';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const root = join(import.meta.dirname, '..');
const dockerfile = (await readFile(join(root, 'Dockerfile'), 'utf8')).replaceAll(/\\\n\s*/g, '');
const lines = dockerfile.split('\n');
const stage = lines.slice(lines.findLastIndex((line) => line.startsWith('FROM ')));

const dir = await mkdtemp(join(tmpdir(), 'image-server-container-'));
const app = join(dir, 'app');
const volume = join(dir, 'volume');
const copies = stage.filter((line) => line.startsWith('COPY ') && !line.includes('--from='));
const [user, group] = argument('USER').split(':').map(Number);
const volumePath = argument('VOLUME');
const port = await freePort();
const env = Object.fromEntries(
  [...argument('ENV').matchAll(/(\w+)=(\S+)/g)].map(([, key, value]) => [key, value?.replace(volumePath, volume)]),
);
const settings = { ...env, IMAGE_SERVER__HTTP__PORT: String(port), IMAGE_SERVER__BUS__ENABLED: 'false' };

try {
  await layOut();
  const server = run(command('CMD'));
  try {
    await becomeHealthy(server);
    await renderOne();
  } finally {
    server.kill('SIGTERM');
  }
  const [code] = server.exitCode === null ? await once(server, 'exit') : [server.exitCode];
  expect(code === 0, `the command ended with ${code} after SIGTERM`);
  expect(health().status === 1, 'the health check says that all is well although nothing runs');
  process.stdout.write('the container’s layout, command, user and health check work\n');
} finally {
  await rm(dir, { recursive: true, force: true });
}

async function layOut(): Promise<void> {
  await mkdir(app, { recursive: true });
  await mkdir(volume);
  // Others may pass, so that the unprivileged user reaches what it may read.
  await chmod(dir, 0o755);
  await chown(volume, user ?? 0, group ?? 0);
  for (const line of copies) {
    const words = line.split(/\s+/).slice(1);
    const target = words.pop() ?? '';
    for (const source of words) {
      await cp(join(root, source), target.endsWith('/') ? join(app, target, source) : join(app, target), {
        recursive: true,
      });
    }
  }
  const build = join(dir, 'build');
  await mkdir(build);
  for (const file of ['package.json', 'package-lock.json']) await cp(join(root, file), join(build, file));
  execFileSync('npm', ['ci', '--omit=dev'], { cwd: build, stdio: 'ignore' });
  await cp(join(build, 'node_modules'), join(app, 'node_modules'), { recursive: true, verbatimSymlinks: true });
}

function run([program = '', ...args]: string[]): ChildProcess {
  return spawn(join(app, program), args, {
    cwd: app,
    env: { PATH: '/usr/bin:/bin', ...settings },
    stdio: ['ignore', 'ignore', 'inherit'],
    ...asUser(),
  });
}

function health() {
  const [program = '', ...args] = command('HEALTHCHECK');
  return spawnSync(join(app, program), args, { cwd: app, env: { ...settings }, ...asUser() });
}

async function becomeHealthy(server: ChildProcess): Promise<void> {
  for (let second = 0; second < 30; second += 1) {
    if (health().status === 0) return;
    expect(server.exitCode === null, `the command ended with ${server.exitCode} before it was healthy`);
    await sleep(1000);
  }
  throw new Error('the server did not become healthy within 30 s');
}

async function renderOne(): Promise<void> {
  const answer = await fetch(`http://127.0.0.1:${port}/v1/renders`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', prefer: 'wait=60' },
    body: JSON.stringify({ prompt: 'x', width: 256, height: 256 }),
  });
  const { status, images } = (await answer.json()) as { status: string; images: { uri: string }[] };
  expect(status === 'succeeded', `the render ${status}`);
  expect(images[0]?.uri.startsWith(`file://${volume}/`) === true, 'the image is not on the volume');
}

/** Root can become the container's user; anybody else stays who they are. */
function asUser(): { uid?: number; gid?: number } {
  return process.getuid?.() === 0 && user !== undefined && group !== undefined ? { uid: user, gid: group } : {};
}

function argument(instruction: string): string {
  const line = stage.find((text) => text.startsWith(`${instruction} `));
  if (line === undefined) throw new Error(`the Dockerfile has no ${instruction}`);
  return line.slice(instruction.length + 1).trim();
}

function command(instruction: string): string[] {
  const text = argument(instruction);
  return JSON.parse(text.slice(text.indexOf('[')));
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  if (typeof address !== 'object' || address === null) throw new Error('there is no free port');
  return address.port;
}

function expect(holds: boolean, message: string): void {
  if (!holds) throw new Error(message);
}
