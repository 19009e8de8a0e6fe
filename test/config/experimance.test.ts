import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { problemsOf, workingDirectory } from './helper.ts';

/** As an installation with a bowl of sand has it. */
const SAND = `
cache_dir = "media/images/generated"
max_cache_size_gb = 2.0
[generator]
strategy = "mock"
timeout = 12
[fal_comfy]
endpoint = "comfy/someone/depth"
lora_strength = 0.5
timeout = 120
[vastai]
model_name = "hyper"
pre_warm = true
create_if_none = true
control_guidance_end = 0.8
instance_timeout = 600
[mock]
use_existing_images = true
existing_images_dir = "media/images/generated"
`;

/** As an installation with sound has it. */
const FIRE = `
[generator]
strategy = "mock"
timeout = 120
[local_sdxl]
model = "https://example.org/model.safetensors"
steps = 6
negative_prompt = "blur"
enable_xformers = true
width = 1024
warmup_on_start = true
[mock]
use_existing_images = false
[audio_generator]
enabled = true
[prompt2audio]
duration_s = 25
`;

function projects(files: Readonly<Record<string, string>>): string {
  const cwd = workingDirectory();
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(cwd, name)), { recursive: true });
    writeFileSync(join(cwd, name), text);
  }
  return cwd;
}

const argv = ['--projects', 'projects'];

test('a project’s image_server.toml loads, with one warning for what has no part here', () => {
  const cwd = projects({ 'projects/experimance/image_server.toml': SAND, 'config.toml': 'nonsense = 1' });
  const { config, file, warnings } = loadConfig({ argv, env: { PROJECT_ENV: 'experimance' }, cwd });
  expect(file).toBe(join(cwd, 'projects/experimance/image_server.toml'));
  expect(config.cache_dir).toBe(join(cwd, 'media/images/generated'));
  expect(config.generator).toMatchObject({ strategy: 'mock', timeout: 12 });
  expect(config.fal_comfy).toMatchObject({ endpoint: 'comfy/someone/depth', lora_strength: 0.5 });
  expect(config.vastai).toMatchObject({ model: 'hyper', control_guidance_end: 0.8 });
  expect(config.mock).toMatchObject({ style: 'existing', images_dir: join(cwd, 'media/images/generated') });
  expect(config.bus).toMatchObject({ project: 'experimance', layout: 'worker' });
  expect(warnings.filter((line) => line.includes('[vastai]'))).toEqual([
    expect.stringMatching(
      /^projects\/experimance\/image_server\.toml: .*\[vastai\] pre_warm, \[vastai\] create_if_none, \[vastai\] instance_timeout: /,
    ),
  ]);
});

test('the project says whose messages are spoken', () => {
  const cwd = projects({ 'projects/fire/image_server.toml': FIRE, 'projects/other/image_server.toml': '' });
  const fire = loadConfig({ argv, env: { PROJECT_ENV: 'fire' }, cwd });
  expect(fire.config.bus.project).toBe('fire');
  expect(fire.config.mock.style).toBe('placeholder');
  expect(fire.config.local_sdxl).toMatchObject({ steps: 6, negative_prompt: 'blur' });
  expect(fire.warnings.filter((line) => line.includes('[audio_generator] enabled'))).toHaveLength(1);
  expect(loadConfig({ argv, env: { PROJECT_ENV: 'other' }, cwd }).config.bus.project).toBe('base');
  expect(loadConfig({ argv: [], env: { PROJECT_ENV: 'fire' }, cwd }).config.bus.project).toBe('fire');
  const env = { PROJECT_ENV: 'fire', IMAGE_SERVER__BUS__PROJECT: 'experimance' };
  expect(loadConfig({ argv, env, cwd }).config.bus.project).toBe('experimance');
});

test('a variant has a file of its own, or that of its project; .project names the project when nothing else does', () => {
  const cwd = projects({
    'projects/experimance/image_server.toml': 'max_cache_size_gb = 1',
    'projects/experimance/demo/image_server.toml': 'max_cache_size_gb = 2',
    'projects/fire/image_server.toml': 'max_cache_size_gb = 3',
    'projects/.project': 'fire\n',
  });
  const sizeFor = (env: Record<string, string>) => loadConfig({ argv, env, cwd }).config.max_cache_size_gb;
  expect(sizeFor({ PROJECT_ENV: 'experimance/demo' })).toBe(2);
  expect(sizeFor({ PROJECT_ENV: 'experimance/quiet' })).toBe(1);
  expect(sizeFor({ PROJECT_ENV: '' })).toBe(3);
});

test('a file that is named goes over the project’s, and flags over both', () => {
  const cwd = projects({
    'projects/experimance/image_server.toml': 'max_cache_size_gb = 1\nlog_level = "warn"\n[generator]\ntimeout = 5',
    'own.toml': 'max_cache_size_gb = 2\nlog_level = "debug"',
  });
  const flags = [...argv, '--config', 'own.toml', '--log_level', 'error'];
  const { config } = loadConfig({ argv: flags, env: {}, cwd });
  expect([config.max_cache_size_gb, config.log_level, config.generator.timeout]).toEqual([2, 'error', 5]);
});

test('a project without a file is a problem that says where it was looked for', () => {
  const cwd = workingDirectory();
  expect(problemsOf(() => loadConfig({ argv, env: { PROJECT_ENV: 'x/y' }, cwd }))).toEqual([
    'no configuration of the project: there is no projects/x/y/image_server.toml and no projects/x/image_server.toml (flag --projects)',
  ]);
  expect(problemsOf(() => loadConfig({ argv: ['--projects'], env: {}, cwd }))[0]).toContain('--projects needs a value');
});

test('[zmq] of today gives the addresses, and a publisher gets the Alerts too', () => {
  const zmq = `[zmq]
name = "image-server"
[zmq.pull]
address = "tcp://core.local"
port = 6001
[zmq.push]
address = "tcp://localhost"
port = 6002
[zmq.subscriber]
port = 6003
topics = ["RenderRequest"]
[zmq.publisher]
address = "tcp://*"
port = 6004`;
  const { config } = loadConfig({ argv: ['--config', 'z.toml'], env: {}, cwd: workingDirectory({ 'z.toml': zmq }) });
  expect(config.bus).toMatchObject({
    layout: 'worker',
    requests: 'tcp://core.local:6001',
    results: 'tcp://127.0.0.1:6002',
    events: 'tcp://127.0.0.1:6003',
    images: 'tcp://*:6004',
    alerts: 'both',
  });
});

test('[zmq] of June 2025 chooses the layout with published messages', () => {
  const old = (events: string, images: string) =>
    `[zmq]\n${events} = "tcp://localhost:5555"\n${images} = "tcp://*:5558"\n[generator]\ndefault_strategy = "mock"`;
  for (const [events, images] of [
    ['image_request_pub', 'images_pub_address'],
    ['events_sub_address', 'events_pub_address'],
  ] as const) {
    const cwd = workingDirectory({ 'config.toml': old(events, images) });
    expect(loadConfig({ argv: [], env: {}, cwd }).config).toMatchObject({
      bus: { layout: 'pubsub', events: 'tcp://127.0.0.1:5555', images: 'tcp://*:5558' },
      generator: { strategy: 'mock' },
    });
  }
});

test('our own key counts more than one of Experimance that means the same', () => {
  const cwd = workingDirectory({ 'config.toml': '[mock]\nstyle = "terrain"\nuse_existing_images = false' });
  expect(loadConfig({ argv: [], env: {}, cwd }).config.mock.style).toBe('terrain');
});

test('what neither knows is an error, also beside keys of Experimance, and a wrong value is told of at its line', () => {
  const cwd = workingDirectory({
    'config.toml': '[zmq]\nstrange = 1\n[falai]\nendpiont = "x"\n[mock]\ndelay = "slow"',
  });
  expect(problemsOf(() => loadConfig({ argv: [], env: {}, cwd }))).toEqual([
    expect.stringMatching(/^\[zmq\] strange: unknown key;.* \(config\.toml:2\)$/),
    expect.stringMatching(/^\[falai\] endpiont: unknown key;.* \(config\.toml:4\)$/),
    expect.stringMatching(/^\[mock\] delay_s = "slow": expected a number.* \(config\.toml:6\)$/),
  ]);
});

test('the health file is where Experimance’s service looks, if its environment is set', () => {
  const cwd = workingDirectory();
  const fileFor = (env: Record<string, string | undefined>, ...flags: string[]) =>
    loadConfig({ argv: flags, env, cwd }).config.health.file;
  expect(fileFor({})).toBeUndefined();
  expect(fileFor({ EXPERIMANCE_ENV: 'production' })).toBe('/var/cache/experimance/health/image_server.json');
  expect(fileFor({ EXPERIMANCE_ENV: 'development' })).toBe(join(cwd, 'logs/health/image_server.json'));
  expect(fileFor({ PROJECT_ENV: 'fire' })).toBe(join(cwd, 'logs/health/image_server.json'));
  expect(fileFor({ PROJECT_ENV: 'fire' }, '--health.file', 'off')).toBeUndefined();
  expect(fileFor({}, '--health.file', 'h.json')).toBe(join(cwd, 'h.json'));
  mkdirSync(join(cwd, 'projects/experimance'), { recursive: true });
  writeFileSync(join(cwd, 'projects/experimance/image_server.toml'), '');
  expect(fileFor({}, '--projects', 'projects')).toBe(join(cwd, 'logs/health/image_server.json'));
});

test('addresses of the bus are checked before anything is started', () => {
  const cwd = workingDirectory();
  const refused = (...flags: string[]) => problemsOf(() => loadConfig({ argv: flags, env: {}, cwd }));
  expect(refused('--bus.events', 'tcp://localhost:5555')[0]).toContain('use tcp://127.0.0.1:5555');
  expect(refused('--bus.images', 'tcp://*:5558')).toEqual([]);
  expect(refused('--bus.images', '5558')[0]).toContain('[bus] images = "5558": expected tcp://HOST:PORT');
  expect(refused('--bus.path_map', '{"images": "/mnt"}')[0]).toContain('expected absolute paths on both sides');
  expect(refused('--bus.path_map', '{"/srv": "/mnt"}')).toEqual([]);
});
