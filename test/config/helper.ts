import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { onTestFinished } from 'vitest';
import { AppError } from '../../src/errors.ts';

/** The project's root, where config.toml lies. */
export const PROJECT = resolve(import.meta.dirname, '..', '..');

/** A new working directory for one test, with the given files in it. */
export function workingDirectory(files: Readonly<Record<string, string | Uint8Array>> = {}): string {
  const cwd = mkdtempSync(join(tmpdir(), 'image-server-config-'));
  onTestFinished(() => rmSync(cwd, { recursive: true }));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(cwd, name), content);
  return cwd;
}

/** What `run` refuses, one line a problem. */
export function problemsOf(run: () => unknown): string[] {
  try {
    run();
  } catch (error) {
    if (error instanceof AppError && error.code === 'config_invalid') return error.message.split('\n');
    throw error;
  }
  return [];
}
