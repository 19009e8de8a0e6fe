import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { openCases } from '../../goldens/cases.ts';
import type { Check } from '../../goldens/measure.ts';
import { holds } from '../../goldens/measure.ts';
import { checkRandn } from '../../goldens/randn.ts';
import { checkSchedulers } from '../../goldens/schedulers.ts';
import { checkTokenizers } from '../../goldens/tokenizers.ts';

const dir = join(import.meta.dirname, '../../fixtures/sdxl-goldens');

function expectToHold(checks: readonly Check[], count: number): void {
  expect(checks.filter((one) => !holds(one))).toEqual([]);
  expect(checks).toHaveLength(count);
}

describe('the numerics of SDXL, against diffusers', () => {
  it('step every sampler of the table alike', async () => {
    expectToHold(await checkSchedulers(dir), 186);
  });

  it('give the same token ids for every string, whole and cut or padded', async () => {
    expectToHold(await checkTokenizers(dir), 212);
  });

  it('draw the same noise from a seed, in both precisions and in a row', async () => {
    expectToHold(await checkRandn(dir), 42);
  });
});

describe('the pipeline of SDXL, against diffusers', async () => {
  const cases = await openCases(dir);
  afterAll(() => cases[Symbol.asyncDispose]());

  it('has all its cases', () => {
    expect(cases.names).toHaveLength(32);
  });

  it.each(cases.names)('holds all tensors of %s', async (name) => {
    expectToHold([await cases.check(name)], 1);
  });
});
