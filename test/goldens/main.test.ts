import { spawnSync } from 'node:child_process';
import { cp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { temporaryDir } from '../helper.ts';

const goldens = join(import.meta.dirname, '../fixtures/sdxl-goldens');

let dir: string;
beforeEach(async () => {
  dir = await temporaryDir();
});

function call(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(import.meta.dirname, 'main.ts'), ...args], {
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  return { status, output: stdout, stderr };
}

function run(): { status: number | null; output: string } {
  const { stderr, ...result } = call(['--dir', dir]);
  expect(stderr).toBe('');
  return result;
}

/** A folder with one case only, of the tiny model. */
async function copyCase(id: string): Promise<string> {
  const folder = join(dir, 'cases', id);
  await cp(join(goldens, 'models'), join(dir, 'models'), { recursive: true });
  await cp(join(goldens, 'cases', id), folder, { recursive: true });
  await writeFile(join(dir, 'cases/cases.json'), JSON.stringify({ format: 1, models: '../models', cases: [{ id }] }));
  return folder;
}

/** What that case shares with others. */
async function copyShared(): Promise<void> {
  const name = 'cases/a01-euler-cfg-negative';
  await cp(join(goldens, name), join(dir, name), { recursive: true });
}

describe('npm run test:goldens', () => {
  it('fails for a folder that holds nothing', () => {
    const { status, output } = run();
    expect(status).toBe(1);
    expect(output).toMatch(/\n0 passed, 0 failed\n$/);
  });

  it('compares nothing and says why when it is called wrongly', () => {
    const file = join(dir, 'none');
    for (const [args, reason] of [
      [['--dir', file], `${file} is no folder.`],
      [['--dri', dir], "Unknown option '--dri'"],
      [[dir], 'Unexpected argument'],
    ] as const) {
      const { status, output, stderr } = call(args);
      expect([status, output]).toEqual([2, '']);
      expect(stderr).toContain(reason);
      expect(stderr).toMatch(/\nUsage: npm run test:goldens \[-- --dir DIR\]\n$/);
    }
  });

  it('takes a folder relative to where npm was called', async () => {
    await cp(join(goldens, 'randn.json'), join(dir, 'inner/randn.json'));
    const { status, output } = call(['--dir', './inner'], { INIT_CWD: dir });
    expect([status, output.slice(-'42 passed, 0 failed\n'.length)]).toEqual([0, '42 passed, 0 failed\n']);
  });

  it('counts a list of cases, a manifest or a model that cannot be read as failed, and says what is wrong', async () => {
    await copyCase('a14-tcd');
    const manifest = join(dir, 'models/manifest.json');
    const text = await readFile(manifest, 'utf8');
    const failsWith = (reason: RegExp) => {
      const { status, output } = run();
      expect([status, output]).toEqual([1, expect.stringMatching(/\n0 passed, 1 failed\n$/)]);
      expect(output).toMatch(reason);
    };
    await writeFile(manifest, '{"models": {}}');
    failsWith(/FAILED {2}a14-tcd\n {2}the manifest has no model /);
    await writeFile(manifest, text.slice(0, 100));
    failsWith(/FAILED {2}a14-tcd\n.*JSON/);
    await rm(manifest);
    failsWith(/FAILED {2}a14-tcd\n.*no such file.*manifest\.json/);
    await writeFile(join(dir, 'cases/cases.json'), '[]');
    failsWith(/FAILED {2}cases.cases\.json\n/);
  });

  it('finds models by the manifest of the folder, whatever they and their folder are called', async () => {
    const folder = await copyCase('a14-tcd');
    await copyShared();
    const { model } = z
      .object({ model: z.string() })
      .parse(JSON.parse(await readFile(join(folder, 'case.json'), 'utf8')));
    const replaceIn = async (path: string, ...words: readonly [string, string][]) => {
      const text = await readFile(path, 'utf8');
      await writeFile(
        path,
        words.reduce((changed, [from, to]) => changed.replaceAll(`"${from}"`, `"${to}"`), text),
      );
    };
    await replaceIn(join(folder, 'case.json'), [model, 'mine']);
    await replaceIn(join(dir, 'models/manifest.json'), [model, 'mine']);
    await rename(join(dir, 'models'), join(dir, 'other models'));
    await replaceIn(join(dir, 'cases/cases.json'), ['../models', '../other models']);
    expect(run()).toMatchObject({ status: 0, output: expect.stringMatching(/\n1 passed, 0 failed\n$/) });
  });

  it('fails for one wrong value of a table, and names its row and tensor', async () => {
    const text = await readFile(join(goldens, 'randn.json'), 'utf8');
    await writeFile(join(dir, 'randn.json'), text.replace('-1.1258398', '-1.1258498'));
    const { status, output } = run();
    expect(status).toBe(1);
    expect(output).toContain('FAILED  float32, seed 0, 16 values');
    expect(output).toMatch(/! {3}float32 values +1\.0e-5/);
    expect(output).toMatch(/\n41 passed, 1 failed\n$/);
  });

  it('counts a table that cannot be read as failed', async () => {
    await writeFile(join(dir, 'tokenizer.json'), '{"strings": [');
    const { status, output } = run();
    expect(status).toBe(1);
    expect(output).toMatch(/\n0 passed, 1 failed\n$/);
  });

  it('runs a folder with cases of its own, and fails for one with another tensor', async () => {
    const folder = await copyCase('a14-tcd');
    await copyShared();
    expect(run()).toMatchObject({ status: 0, output: expect.stringMatching(/\n1 passed, 0 failed\n$/) });

    const latents = await readFile(join(folder, 'torch.latents.bin'));
    latents.writeFloatLE(latents.readFloatLE(0) + 0.01, 0);
    await writeFile(join(folder, 'torch.latents.bin'), latents);
    const { status, output } = run();
    expect(status).toBe(1);
    expect(output).toMatch(/FAILED {2}a14-tcd\n[\s\S]*! {3}latents \(torch\) +1\.0e-2/);
  });

  it('fails a case that asks for what it does not know, or that has lost a file', async () => {
    const folder = await copyCase('a14-tcd');
    const text = await readFile(join(folder, 'case.json'), 'utf8');
    await writeFile(join(folder, 'case.json'), text.replace('"request": {', '"request": { "guess_mode": true,'));
    expect(run().output).toMatch(/FAILED {2}a14-tcd\n[\s\S]*guess_mode[\s\S]*\n0 passed, 1 failed\n$/);
    await writeFile(join(folder, 'case.json'), text);
    expect(run().output).toMatch(/FAILED {2}a14-tcd\n[\s\S]*no such file[\s\S]*\n0 passed, 1 failed\n$/);
  });
});
