import { spawnSync } from 'node:child_process';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { temporaryDir } from '../helper.ts';

const goldens = join(import.meta.dirname, '../fixtures/sdxl-goldens');

let dir: string;
beforeEach(async () => {
  dir = await temporaryDir();
});

function run(): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(import.meta.dirname, 'main.ts'), '--dir', dir], {
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  return { status, output: stdout };
}

/** A folder with one case only, of the tiny model. */
async function copyCase(id: string): Promise<string> {
  const folder = join(dir, 'cases', id);
  await cp(join(goldens, 'models'), join(dir, 'models'), { recursive: true });
  await cp(join(goldens, 'cases', id), folder, { recursive: true });
  await writeFile(join(dir, 'cases/cases.json'), JSON.stringify({ format: 1, models: '../models', cases: [{ id }] }));
  return folder;
}

describe('npm run test:goldens', () => {
  it('fails for a folder that holds nothing', () => {
    const { status, output } = run();
    expect(status).toBe(1);
    expect(output).toMatch(/\n0 passed, 0 failed\n$/);
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
    await cp(join(goldens, 'cases/a01-euler-cfg-negative'), join(dir, 'cases/a01-euler-cfg-negative'), {
      recursive: true,
    });
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
