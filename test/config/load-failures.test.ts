import { expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { AppError } from '../../src/errors.ts';
import { problemsOf, workingDirectory } from './helper.ts';

const problems = (argv: string[], env: Record<string, string> = {}, toml?: string) => {
  const cwd = workingDirectory(toml === undefined ? {} : { 'config.toml': toml });
  return problemsOf(() => loadConfig({ argv, env, cwd }));
};

test('a wrong value is told with its key, what is expected and where it stands', () => {
  expect(problems([], {}, '# ports\n[http]\nhost = "::1"\nport = 70000\n')).toEqual([
    '[http] port = 70000: expected a whole number from 0 to 65535 (config.toml:4)',
  ]);
  expect(problems([], { IMAGE_SERVER__HTTP__PORT: 'high' })).toEqual([
    '[http] port = "high": expected a whole number from 0 to 65535 (environment variable IMAGE_SERVER__HTTP__PORT)',
  ]);
  expect(problems(['--log-level', 'loud'])).toEqual([
    'log_level = "loud": expected one of "fatal", "error", "warn", "info", "debug", "trace", "silent" ' +
      '(flag --log-level)',
  ]);
});

test('each type says in words what it accepts', () => {
  const toml = `
cache_dir = ""
[http]
public_url = "ftp://user:word@example.org"
allowed_origins = ["https://example.org", "example"]
max_body_mb = 0
drain_s = inf
[auth]
anonymous = "maybe"
[generator]
crash_attempts = 1.5
[inputs]
file_roots = "maps"
[mock]
timeout = -1
`;
  expect(problems([], {}, toml)).toEqual([
    'cache_dir = "": expected text that is not empty (config.toml:2)',
    '[http] public_url = "ftp://***@example.org": expected a URL, such as "https://images.example.org" (config.toml:4)',
    '[http] allowed_origins = ["https://example.org","example"]: item 2 is wrong, expected a list, each item a URL ' +
      '(config.toml:5)',
    '[http] max_body_mb = 0: expected a number above 0 and at most 1024 (config.toml:6)',
    '[http] drain_s = Infinity: expected a number from 0 to 86400 (config.toml:7)',
    '[auth] anonymous = "maybe": expected true or false (config.toml:9)',
    '[generator] crash_attempts = 1.5: expected a whole number of at least 1 (config.toml:11)',
    '[inputs] file_roots = "maps": expected a list, each item text that is not empty, such as ' +
      '["/srv/depth-maps","/srv/tiles"] (config.toml:13)',
    '[mock] timeout = -1: expected a number above 0 and at most 86400, such as 60 (config.toml:15)',
  ]);
});

test('no time is longer than a day', () => {
  for (const key of ['http.drain_s', 'generator.timeout', 'mock.timeout', 'mock.delay_s'])
    expect(problems([`--${key}`, '86400.5']).join(), key).toMatch(/ (from 0 to|at most) (86400|3600)/);
  expect(problems(['--http.drain_s', '86400', '--generator.timeout', '86400', '--mock.timeout', '86400'])).toEqual([]);
});

test('an origin is that of a web page', () => {
  expect(problems(['--http.allowed_origins', 'file:///a'])).toEqual([
    '[http] allowed_origins = ["file:///a"]: item 1 is wrong, expected a list, each item a URL (flag --http.allowed_origins)',
  ]);
});

test('a list in broken JSON is told how lists are written', () => {
  expect(problems(['--http.allowed_origins', '[https://example.org]'])).toEqual([
    '[http] allowed_origins = "[https://example.org]": expected a list, each item a URL, ' +
      'as JSON or separated by commas (flag --http.allowed_origins)',
  ]);
});

test('all problems of all sources are told at once, cross-checks included', () => {
  const found = problems(['--http.prot', '1', '--bus.outbox=0'], { IMAGE_SERVER__QUEUE__LEN: '1' }, 'http.host = "::"');
  expect(found).toHaveLength(4);
  expect(found.join('\n')).toMatch(/\[queue\] len.*\[http\] prot.*\[bus\] outbox.*\[http\] host/s);
});

test('the error lists the keys as issues', () => {
  const load = () => loadConfig({ argv: ['--bus.outbox=0'], env: {}, cwd: workingDirectory() });
  expect(load).toThrow(AppError);
  expect(load).toThrow(
    expect.objectContaining({ code: 'config_invalid', issues: [expect.objectContaining({ path: 'bus.outbox' })] }),
  );
});

test('unknown keys are told with the nearest known key, as their source spells it, and without their value', () => {
  expect(problems([], {}, 'log_levle = "x"\n[http]\nprot = 80')).toEqual([
    'log_levle: unknown key; did you mean log_level? (config.toml:1)',
    '[http] prot: unknown key; did you mean [http] port? (config.toml:3)',
  ]);
  expect(problems([], { IMAGE_SERVER__HTPP__PORT: '80' })).toEqual([
    '[htpp] port: unknown key; did you mean IMAGE_SERVER__HTTP__PORT? (environment variable IMAGE_SERVER__HTPP__PORT)',
  ]);
  expect(problems(['--bus.enable', 'true'])).toEqual([
    '[bus] enable: unknown key; did you mean --bus.enabled? (flag --bus.enable)',
  ]);
});

test('a key that resembles none is told with the known keys', () => {
  expect(problems(['--queue.weather=fine'])).toEqual([
    '[queue] weather: unknown key; known keys: --queue.max_length (flag --queue.weather)',
  ]);
  expect(problems(['--weather.tomorrow=fine']).join()).toContain('unknown key; known sections: [http], [auth], [bus]');
  expect(problems(['--weather=fine']).join()).toContain(
    'known keys: --cache_dir, --data_dir, --max_cache_size_gb, --log_level; known sec',
  );
});

test('an unknown section is one problem, with the nearest known section', () => {
  expect(problems([], {}, '\n[generators]\nstrategy = "mock"\ntimeout = 3\n')).toEqual([
    '[generators]: unknown section; did you mean [generator]? (config.toml:2)',
  ]);
  expect(problems([], {}, '[audio_synthesis]\nvolume = 3\n').join()).toContain(
    'unknown section; known sections: [http]',
  );
});

test('a section has no value of its own', () => {
  const queue = '[queue] is a section and has no value of its own; its keys:';
  expect(problems([], {}, 'queue = 5')).toEqual([`${queue} [queue] max_length (config.toml:1)`]);
  expect(problems([], {}, '[[queue]]\nmax_length = 5')).toEqual([`${queue} [queue] max_length (config.toml:1)`]);
  expect(problems([], { IMAGE_SERVER__QUEUE: '5' })).toEqual([
    `${queue} IMAGE_SERVER__QUEUE__MAX_LENGTH (environment variable IMAGE_SERVER__QUEUE)`,
  ]);
  expect(problems(['--queue', '5'])).toEqual([`${queue} --queue.max_length (flag --queue)`]);
});

test('a quoted key with a dot is not the key of a section', () => {
  expect(problems([], {}, '"http.port" = 1')).toEqual([
    'http.port: unknown key; did you mean [http] port? (config.toml:1)',
  ]);
});

test('names of the language are unknown keys like others', () => {
  expect(problems([], {}, '__proto__.x = 1\n[http]\nconstructor = 1')).toHaveLength(2);
  expect(problems(['--__proto__.port=1', '--http.__proto__=1'])).toHaveLength(2);
});

test('two variables for one key are refused', () => {
  expect(problems([], { IMAGE_SERVER__HTTP__PORT: '1', IMAGE_SERVER__http__port: '2' })).toEqual([
    '[http] port: set twice; keep one (environment variables IMAGE_SERVER__HTTP__PORT, IMAGE_SERVER__http__port)',
  ]);
});

test('a flag without a value, and a value without a flag, are refused', () => {
  expect(problems(['--http.port', '--bus.enabled', 'perhaps', '-v', '--'])).toEqual([
    '--http.port needs a value: expected a whole number from 0 to 65535; write --http.port VALUE or --http.port=VALUE',
    'unexpected argument "perhaps": expected flags such as --http.port 8080',
    'unexpected argument "-v": expected flags such as --http.port 8080',
    'unexpected argument "--": expected flags such as --http.port 8080',
  ]);
  expect(problems(['--config'])).toEqual([
    '--config needs a value: expected the path of a TOML file; write --config VALUE or --config=VALUE',
  ]);
});

test('an empty variable is no number', () => {
  expect(problems([], { IMAGE_SERVER__HTTP__PORT: '' })).toEqual([
    '[http] port = "": expected a whole number from 0 to 65535 (environment variable IMAGE_SERVER__HTTP__PORT)',
  ]);
});

test('a named file must exist and be a file', () => {
  expect(problems(['--config', 'missing.toml'])).toEqual([
    'configuration file missing.toml does not exist (flag --config)',
  ]);
  expect(problems([], { IMAGE_SERVER_CONFIG: '/missing.toml' })).toEqual([
    'configuration file /missing.toml does not exist (environment variable IMAGE_SERVER_CONFIG)',
  ]);
  expect(problems(['--config', '.'])).toEqual(['configuration file . cannot be read: EISDIR (flag --config)']);
});

test('a file that is not UTF-8 is refused', () => {
  const cwd = workingDirectory({ 'config.toml': Uint8Array.of(0x23, 0xff, 0x0a) });
  expect(problemsOf(() => loadConfig({ argv: [], env: {}, cwd }))).toEqual([
    'configuration file config.toml is not UTF-8 text (in the working directory)',
  ]);
});

test('a mistake in the TOML is told with file, line and column, and without the text there', () => {
  expect(problems([], {}, '[http]\nport = \n')).toEqual(['config.toml:2:8: not valid TOML: invalid value']);
  expect(problems([], {}, 'secret = "abc" def')).toEqual([expect.not.stringContaining('abc')]);
});

test('beside a file that cannot be read, nobody is accused of what the file may allow', () => {
  expect(problems(['--http.host', '0.0.0.0'], {}, 'anonymous = ')).toEqual([expect.stringContaining('config.toml:1:')]);
});
