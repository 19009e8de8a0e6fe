import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
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
