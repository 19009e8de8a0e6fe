import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { FieldIssue } from '../errors.ts';
import type { Setting } from './keys.ts';
import { findKey } from './keys.ts';
import { noProjectFile } from './problems.ts';

const FILE = 'image_server.toml';
const DEFAULT_PROJECT = 'experimance';
/** Projects whose messages differ; others speak as the base does. */
const SPOKEN = ['experimance', 'fire'];

/** An installation's project, as Experimance's services find it. */
export interface Project {
  /** As in `experimance/nochat_demo`. */
  readonly name: string;
  /** Its image_server.toml, or undefined with a problem that says where it was looked for. */
  readonly file: string | undefined;
  readonly problems: readonly FieldIssue[];
}

/** The project of `PROJECT_ENV`, else of `.project` in the folder of projects, else experimance; its variant's file first. */
export function findProject(projects: string, projectEnv: string | undefined, cwd: string): Project {
  const folder = resolve(cwd, projects);
  const name = nonEmpty(projectEnv) ?? nonEmpty(readIfThere(join(folder, '.project'))) ?? DEFAULT_PROJECT;
  const candidates = [...new Set([name, name.split('/', 1)[0] ?? name])].map((one) => join(projects, one, FILE));
  const file = candidates.find((one) => existsSync(resolve(cwd, one)));
  return { name, file, problems: file === undefined ? [noProjectFile(candidates)] : [] };
}

/** Whose messages a project's core speaks. */
export function projectSettings(name: string | undefined, origin: string): Setting[] {
  const key = findKey('bus.project');
  if (nonEmpty(name) === undefined || key === undefined) return [];
  const base = name?.split('/', 1)[0] ?? '';
  return [{ key, value: SPOKEN.includes(base) ? base : 'base', fromText: false, origin: () => origin }];
}

function readIfThere(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}

function nonEmpty(text: string | undefined): string | undefined {
  const trimmed = text?.trim() ?? '';
  return trimmed === '' ? undefined : trimmed;
}
