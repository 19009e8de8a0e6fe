import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { planOutput } from '../../src/cli/output-file.ts';
import { imageFormat } from '../../src/messages/fields.ts';
import { temporaryDir } from '../helper.ts';

describe('the file of -o', () => {
  it('has the format of its extension, for every format that there is', async () => {
    const dir = await temporaryDir();
    for (const format of imageFormat.options) {
      expect(await planOutput(`x.${format}`, dir, undefined)).toMatchObject({ format });
      expect(await planOutput(`x.${format.toUpperCase()}`, dir, format)).toMatchObject({ format });
    }
    expect(await planOutput(join(dir, 'x.jpg'), '/', 'jpeg')).toMatchObject({ format: 'jpeg' });
  });

  it.each([
    ['x.gif', undefined, '--output must end with one of .jpg, .png'],
    ['x', undefined, '--output must end with one of'],
    ['.png', undefined, '--output must end with one of'],
    ['x.constructor', undefined, '--output must end with one of'],
    ['x.png', 'jpeg', '--output x.png is a png file, but --output-format asks for jpeg.'],
    ['nowhere/x.png', undefined, 'the folder of nowhere/x.png cannot be used: there is no such file or folder.'],
    ['file/x.png', undefined, 'the folder of file/x.png is no folder.'],
  ])('is refused before anything is rendered: %s', async (file, asked, message) => {
    const dir = await temporaryDir();
    await writeFile(join(dir, 'file'), '');
    const refused = planOutput(file, dir, asked);
    await expect(refused).rejects.toMatchObject({
      exitCode: 2,
      code: 'usage',
      message: expect.stringContaining(message),
    });
  });

  it('appears whole, with a number when there are several, or leaves nothing behind', async () => {
    const dir = await temporaryDir();
    const output = await planOutput('a.b.png', dir, undefined);
    expect(await output.save(Buffer.from('one'), 0, 1)).toBe(join(dir, 'a.b.png'));
    expect(await output.save(Buffer.from('two'), 1, 2)).toBe(join(dir, 'a.b-2.png'));
    expect(await readFile(join(dir, 'a.b-2.png'), 'utf8')).toBe('two');

    await mkdir(join(dir, 'a.b-1.png'));
    await expect(output.save(Buffer.from('one'), 0, 2)).rejects.toMatchObject({ exitCode: 1, code: 'output' });
    expect((await readdir(dir)).sort()).toEqual(['a.b-1.png', 'a.b-2.png', 'a.b.png']);
  });
});
