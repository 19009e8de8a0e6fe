import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { configSchema } from '../../src/config/schema.ts';
import { workingDirectory } from './helper.ts';

test('without any source there are only defaults, and the folders lie in the working directory', () => {
  const cwd = workingDirectory();
  const { config, file, warnings } = loadConfig({ argv: [], env: {}, cwd });
  const defaults = configSchema.parse({});
  expect(config).toEqual({ ...defaults, cache_dir: join(cwd, 'images'), data_dir: join(cwd, 'data') });
  expect(file).toBeUndefined();
  expect(warnings).toEqual([]);
});

test('the environment goes over the file, and flags go over both', () => {
  const cwd = workingDirectory({
    'config.toml': 'log_level = "warn"\n[http]\nport = 1\ndrain_s = 1\n[queue]\nmax_length = 1\n',
  });
  const env = { IMAGE_SERVER__HTTP__PORT: '2', IMAGE_SERVER__HTTP__DRAIN_S: '2' };
  const { config, file } = loadConfig({ argv: ['--http.port', '3'], env, cwd });
  expect(config.log_level).toBe('warn');
  expect(config.queue.max_length).toBe(1);
  expect(config.http.drain_s).toBe(2);
  expect(config.http.port).toBe(3);
  expect(file).toBe(join(cwd, 'config.toml'));
});

test('--config goes before IMAGE_SERVER_CONFIG, and that before config.toml', () => {
  const cwd = workingDirectory({
    'config.toml': 'log_level = "warn"',
    'variable.toml': 'log_level = "debug"',
    'flag.toml': 'log_level = "trace"',
  });
  const env = { IMAGE_SERVER_CONFIG: 'variable.toml' };
  expect(loadConfig({ argv: [], env: {}, cwd }).config.log_level).toBe('warn');
  expect(loadConfig({ argv: [], env: { IMAGE_SERVER_CONFIG: '' }, cwd }).config.log_level).toBe('warn');
  expect(loadConfig({ argv: [], env, cwd }).config.log_level).toBe('debug');
  const { config, file } = loadConfig({ argv: ['--config=flag.toml'], env, cwd });
  expect(config.log_level).toBe('trace');
  expect(file).toBe(join(cwd, 'flag.toml'));
});

test('the part of a variable after the prefix may be in any case', () => {
  const env = { IMAGE_SERVER__http__Port: '81', IMAGE_SERVER__Log_Level: 'debug' };
  const { config } = loadConfig({ argv: [], env, cwd: workingDirectory() });
  expect(config.http.port).toBe(81);
  expect(config.log_level).toBe('debug');
});

test('variables of the client and of other programs are not keys', () => {
  const env = {
    IMAGE_SERVER_API_KEY: 'a',
    IMAGE_SERVER_URL: 'b',
    IMAGE_SERVER_PORT: 'tcp://10.0.0.1:80',
    PATH: '/bin',
    IMAGE_SERVER__HTTP__PORT: undefined,
  };
  expect(loadConfig({ argv: [], env, cwd: workingDirectory() }).config.http.port).toBe(8080);
});

test('hyphens in flags stand for underscores, and of a repeated flag the last counts', () => {
  const argv = ['--log-level', 'debug', '--http.max-body-mb=2', '--http.max_body_mb', '3'];
  const { config } = loadConfig({ argv, env: {}, cwd: workingDirectory() });
  expect(config.log_level).toBe('debug');
  expect(config.http.max_body_mb).toBe(3);
});

test('a boolean flag may stand alone, before another flag and at the end', () => {
  const cwd = workingDirectory({ 'config.toml': '[bus]\nenabled = false' });
  const { config } = loadConfig({ argv: ['--bus.enabled', '--auth.anonymous'], env: {}, cwd });
  expect(config.bus.enabled).toBe(true);
  expect(config.auth.anonymous).toBe(true);
});

test('a boolean flag takes the next argument when that is a boolean', () => {
  const { config } = loadConfig({ argv: ['--bus.enabled', 'no'], env: {}, cwd: workingDirectory() });
  expect(config.bus.enabled).toBe(false);
});

test('relative paths of every source are taken from the working directory', () => {
  const cwd = workingDirectory({
    'other.toml': 'data_dir = "journal"\n[inputs]\nfile_roots = ["maps", "/srv/maps"]',
  });
  const nested = join(cwd, 'nested');
  mkdirSync(nested);
  const argv = ['--config', '../other.toml', '--cache_dir', 'pictures'];
  const { config, file } = loadConfig({ argv, env: { IMAGE_SERVER__MOCK__IMAGES_DIR: 'media' }, cwd: nested });
  expect(file).toBe(join(cwd, 'other.toml'));
  expect(config.data_dir).toBe(join(nested, 'journal'));
  expect(config.cache_dir).toBe(join(nested, 'pictures'));
  expect(config.mock.images_dir).toBe(join(nested, 'media'));
  expect(config.inputs.file_roots).toEqual([join(nested, 'maps'), '/srv/maps']);
});

test('a byte order mark and Windows line ends do no harm', () => {
  const cwd = workingDirectory({ 'config.toml': '\uFEFFlog_level = "warn"\r\n[http]\r\nport = 1\r\n' });
  expect(loadConfig({ argv: [], env: {}, cwd }).config.http.port).toBe(1);
});

test('a wrong value that a stronger source replaces is no problem', () => {
  const cwd = workingDirectory({ 'config.toml': '[http]\nport = 70000' });
  expect(loadConfig({ argv: ['--http.port', '1'], env: {}, cwd }).config.http.port).toBe(1);
});
