import { resolve } from 'node:path';
import type { FieldIssue } from '../errors.ts';
import { crossCheck } from './cross-checks.ts';
import { readEnvironment } from './environment.ts';
import type { FileReading } from './file.ts';
import { NO_FILE, readConfigFile } from './file.ts';
import { readFlags } from './flags.ts';
import type { Setting } from './keys.ts';
import { badValue, configError, expectedOf } from './problems.ts';
import type { Project } from './project.ts';
import { findProject, projectSettings } from './project.ts';
import type { Config } from './schema.ts';
import { configSchema } from './schema.ts';
import type { Secrets } from './secrets.ts';
import { readSecrets } from './secrets.ts';

/** Where the configuration comes from. `argv` holds the flags only, without program and command. */
export interface ConfigInput {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
}

/** A configuration that is ready for use. */
export interface LoadedConfig {
  /** Its paths are absolute. */
  readonly config: Config;
  /** Keys of providers; never part of what is shown. */
  readonly secrets: Secrets;
  /** Absolute path of the TOML file, or `undefined` when there is none. */
  readonly file: string | undefined;
  /** Sentences for the log. */
  readonly warnings: readonly string[];
}

/**
 * Defaults < TOML file < environment < flags. The file is `--config`, else `$IMAGE_SERVER_CONFIG`, else `config.toml`
 * in `cwd` if it is there. Relative paths are taken from `cwd`, also those in the file, wherever it lies.
 * With `--projects` Experimance's file of the project comes in the place of `config.toml`, and below a named file.
 * Throws `config_invalid`, whose message has one line for each problem.
 */
export function loadConfig({ argv, env, cwd }: ConfigInput): LoadedConfig {
  const flags = readFlags(argv);
  const environment = readEnvironment(env);
  const project = flags.projects === undefined ? undefined : findProject(flags.projects, env.PROJECT_ENV, cwd);
  const files = readFiles(nameFile(flags.file, env), project, cwd);
  const spoken = projectSettings(project?.name ?? env.PROJECT_ENV, 'environment variable PROJECT_ENV');
  const settings = merge([...files.settings, ...spoken, ...environment.settings, ...flags.settings]);

  const problems = [...files.problems, ...environment.problems, ...flags.problems];
  const bad = refuseValues(settings);
  problems.push(...bad);

  // With the bad values left out, so that one run shows what else is wrong.
  const valid = settings.filter(({ key }) => !bad.some(({ path }) => path === key.path));
  const config = configSchema.parse(toInput(valid));
  const { refusals, warnings } = crossCheck(config);
  for (const { keys, reason } of refusals) {
    // Beside a value that we could not read, a comparison would accuse the wrong one.
    if (!files.readable || keys.some((path) => bad.some((problem) => problem.path === path))) continue;
    problems.push(refuse(keys[0], reason, settings));
  }

  if (problems.length > 0) throw configError(problems);
  return {
    config: resolvePaths(config, cwd, defaultHealthFile(env, project)),
    secrets: readSecrets(config, { env, cwd }),
    file: files.file,
    warnings: [...files.warnings, ...warnings],
  };
}

/** A project's file comes first, then one that is named; with a project, config.toml is not looked for. */
function readFiles(named: ReturnType<typeof nameFile>, project: Project | undefined, cwd: string): FileReading {
  if (project === undefined) return readConfigFile(named, cwd);
  const theirs =
    project.file === undefined ? NO_FILE : readConfigFile({ name: project.file, origin: 'flag --projects' }, cwd);
  const own = named === undefined ? NO_FILE : readConfigFile(named, cwd);
  return {
    settings: [...theirs.settings, ...own.settings],
    problems: [...project.problems, ...theirs.problems, ...own.problems],
    warnings: [...theirs.warnings, ...own.warnings],
    file: own.file ?? theirs.file,
    readable: theirs.readable && own.readable,
  };
}

function nameFile(flag: string | undefined, env: ConfigInput['env']) {
  if (flag !== undefined) return { name: flag, origin: 'flag --config' };
  const variable = env.IMAGE_SERVER_CONFIG;
  if (variable === undefined || variable === '') return undefined;
  return { name: variable, origin: 'environment variable IMAGE_SERVER_CONFIG' };
}

function merge(settings: readonly Setting[]): Setting[] {
  return [...new Map(settings.map((setting) => [setting.key.path, setting])).values()];
}

function toInput(settings: readonly Setting[]): Record<string, unknown> {
  const sections = Object.groupBy(settings, ({ key }) => key.section ?? '');
  const entries = Object.entries(sections).map(([section, members = []]): [string, Record<string, unknown>] => [
    section,
    Object.fromEntries(members.map(({ key, value }) => [key.name, value])),
  ]);
  const { '': top = {}, ...tables } = Object.fromEntries(entries);
  return { ...tables, ...top };
}

function refuseValues(settings: readonly Setting[]): FieldIssue[] {
  const issues = configSchema.safeParse(toInput(settings)).error?.issues ?? [];
  const problems = issues.flatMap(({ path }) =>
    settings.flatMap((setting) => {
      const { key, value, origin } = setting;
      const depth = key.section === undefined ? 1 : 2;
      if (path.slice(0, depth).join('.') !== key.path) return [];
      const item = path[depth];
      return [badValue(key, value, expectedOf(setting, typeof item === 'number' ? item : undefined), origin())];
    }),
  );
  // A value can break two rules of the schema, and our words for both are the same.
  return [...new Map(problems.map((problem) => [problem.message, problem])).values()];
}

function refuse(path: string, reason: string, settings: readonly Setting[]): FieldIssue {
  const setting = settings.find(({ key }) => key.path === path);
  if (setting === undefined) throw new Error(`the default of ${path} is refused: ${reason}`);
  return badValue(setting.key, setting.value, reason, setting.origin());
}

/** Where Experimance's health service looks, if the process runs in an installation of it. */
function defaultHealthFile({ EXPERIMANCE_ENV = '', PROJECT_ENV = '' }: ConfigInput['env'], project?: Project): string {
  if (EXPERIMANCE_ENV === 'production') return '/var/cache/experimance/health/image_server.json';
  const isInstalled = project !== undefined || EXPERIMANCE_ENV !== '' || PROJECT_ENV !== '';
  return isInstalled ? 'logs/health/image_server.json' : 'off';
}

function resolvePaths(config: Config, cwd: string, defaultFile: string): Config {
  const { file = defaultFile, ...health } = config.health;
  const { images_dir, ...mock } = config.mock;
  const { file_roots, ...inputs } = config.inputs;
  const { model_dir, styles, loras, ...sdxl } = config.local_sdxl;
  return {
    ...config,
    cache_dir: resolve(cwd, config.cache_dir),
    data_dir: resolve(cwd, config.data_dir),
    health: { ...health, ...(file !== 'off' && { file: resolve(cwd, file) }) },
    inputs: { ...inputs, ...(file_roots && { file_roots: file_roots.map((root) => resolve(cwd, root)) }) },
    mock: { ...mock, ...(images_dir && { images_dir: resolve(cwd, images_dir) }) },
    local_sdxl: {
      ...sdxl,
      ...(model_dir && { model_dir: resolve(cwd, model_dir) }),
      styles: Object.fromEntries(Object.entries(styles).map(([style, folder]) => [style, resolve(cwd, folder)])),
      loras: loras.map((lora) => ({ ...lora, model_dir: resolve(cwd, lora.model_dir) })),
    },
  };
}
