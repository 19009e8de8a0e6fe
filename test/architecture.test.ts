import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '..');
const src = join(root, 'src');

interface Import {
  readonly file: string;
  readonly target: string;
  readonly typeOnly: boolean;
}

const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => ({ name, text: readFileSync(join(src, name), 'utf8') }));

const imports: Import[] = files.flatMap(({ name, text }) => {
  const statements = text.matchAll(/^(?:import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?'([^']+)'/gm);
  const late = text.matchAll(/\b(import)\('([^']+)'\)/g);
  return [...statements, ...late].map(([, word, target = '']) => ({
    file: name,
    target: target.startsWith('.') ? relative(src, resolve(src, dirname(name), target)) : target,
    typeOnly: word?.startsWith('type') === true,
  }));
});

/** The top-level part that a file belongs to: a folder, or a file of its own. */
function partOf(file: string): string {
  return file.split('/', 1)[0] ?? file;
}

/** Bare names (npm packages, Node's modules) are not ours. */
function isOurs({ target }: Import): boolean {
  return target.endsWith('.ts');
}

const LEAVES = ['config', 'errors.ts', 'messages'];
const ENTRIES = ['main.ts', 'app.ts'];

/** The parts whose types a part may know: they point inward. */
const KNOWS: Record<string, readonly string[]> = {
  store: ['generators/generator.ts'],
  generators: ['render/clock.ts', 'render/logger.ts', 'store/images.ts'],
  render: ['generators/generator.ts', 'store/image-store.ts', 'store/images.ts'],
  transports: ['render/', 'store/image-store.ts', 'observe/'],
  observe: ['render/', 'generators/generator.ts', 'store/image-store.ts'],
  cli: ['app.ts', 'observe/log.ts', 'client/'],
};

/** Heavy packages: each is imported, as a value, in one file only. */
const HEAVY = ['onnxruntime-node', 'sharp', 'zeromq', 'prom-client', 'node:sqlite', 'pino', 'fastify', 'ws'];

describe('the architecture', () => {
  it('has only the parts that its picture shows', () => {
    const parts = new Set(files.map(({ name }) => partOf(name)));
    expect([...parts].sort()).toEqual(
      [
        'app.ts',
        'cli',
        'client',
        'config',
        'errors.ts',
        'generators',
        'main.ts',
        'messages',
        'observe',
        'render',
        'store',
        'transports',
      ].sort(),
    );
  });

  it('is read from all imports', () => {
    expect(imports).toContainEqual({ file: 'main.ts', target: 'app.ts', typeOnly: false });
    expect(imports).toContainEqual({ file: 'render/hub.ts', target: 'render/journal.ts', typeOnly: true });
    expect(imports).toContainEqual({ file: 'store/convert.ts', target: 'sharp', typeOnly: false });
  });

  it('lets leaves import nothing of ours but leaves', () => {
    const bad = imports.filter(
      (one) => isOurs(one) && LEAVES.includes(partOf(one.file)) && !LEAVES.includes(partOf(one.target)),
    );
    expect(bad).toEqual([]);
  });

  it('lets parts import values only from leaves and themselves', () => {
    const bad = imports.filter((one) => {
      if (!isOurs(one) || one.typeOnly || ENTRIES.includes(one.file)) return false;
      return partOf(one.target) !== partOf(one.file) && !LEAVES.includes(partOf(one.target));
    });
    expect(bad).toEqual([]);
  });

  it('lets types point inward only', () => {
    const bad = imports.filter((one) => {
      const part = partOf(one.file);
      if (!isOurs(one) || ENTRIES.includes(one.file)) return false;
      if (partOf(one.target) === part || LEAVES.includes(partOf(one.target))) return false;
      return !(KNOWS[part] ?? []).some((known) => one.target.startsWith(known));
    });
    expect(bad).toEqual([]);
  });

  it('lets the client run in browsers', () => {
    const inPages = ['client', 'messages', 'errors.ts'];
    const packages = imports.filter((one) => !isOurs(one) && !one.typeOnly && inPages.includes(partOf(one.file)));
    expect(new Set(packages.map(({ target }) => target))).toEqual(new Set(['zod']));
  });

  it('keeps each heavy package in one file', () => {
    for (const name of HEAVY) {
      const users = imports.filter(({ target, typeOnly }) => target === name && !typeOnly).map(({ file }) => file);
      expect([name, users.length <= 1, users]).toEqual([name, true, users]);
    }
  });

  it('touches the process only where it begins', () => {
    // The store asks the system which processes live, to sweep what dead ones left half-written; the process of the
    // local model has a main of its own.
    const allowed = ['main.ts', 'store/durable-files.ts', 'generators/local-sdxl/process/child.ts'];
    const touching = files.filter(
      ({ name, text }) => !allowed.includes(name) && (/\bprocess\.\w/.test(text) || /from 'node:process'/.test(text)),
    );
    expect(touching.map(({ name }) => name)).toEqual([]);
  });

  it('has no escape from the types', () => {
    const bad = files.filter(({ text }) =>
      /\bas any\b|: any\b|as unknown as|@ts-(ignore|expect-error|nocheck)/.test(text),
    );
    expect(bad.map(({ name }) => name)).toEqual([]);
  });

  it('names every exported thing with a comment', () => {
    const bare = files.flatMap(({ name, text }) => {
      const lines = text.split('\n');
      return lines.flatMap((line, at) => {
        const isExport = /^export (?:async )?(?:function|const|class|interface|type|abstract)/.test(line);
        const previous = lines[at - 1]?.trim() ?? '';
        return isExport && !previous.endsWith('*/') ? [`${name}:${at + 1} ${line}`] : [];
      });
    });
    expect(bare).toEqual([]);
  });
});
