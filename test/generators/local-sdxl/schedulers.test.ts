import { describe, expect, it } from 'vitest';
import { parseSchedulerConfig } from '../../../src/generators/local-sdxl/schedulers/config.ts';
import { createScheduler, SCHEDULER_NAMES } from '../../../src/generators/local-sdxl/schedulers/index.ts';
import { roundHalfEven } from '../../../src/generators/local-sdxl/schedulers/spacing.ts';

const SDXL = { beta_start: 0.00085, beta_end: 0.012, beta_schedule: 'scaled_linear', steps_offset: 1 };
const SIZE = 16;

function schedulerOf(_class_name: string, overrides: Record<string, unknown> = {}, run: Record<string, unknown> = {}) {
  const config = parseSchedulerConfig('{}', { ...SDXL, ...overrides, _class_name });
  return createScheduler(config, { steps: 4, size: SIZE, ...run });
}

/** Runs a sampler with a model that knows the clean latents, and gives where it ends. */
function runWithPerfectModel(name: string, overrides: Record<string, unknown>, run: Record<string, unknown> = {}) {
  const scheduler = schedulerOf(name, { clip_sample: false, ...overrides }, { steps: 12, ...run });
  const clean = Float32Array.from({ length: SIZE }, (_, i) => Math.sin(i * 1.7));
  const noise = Float32Array.from({ length: SIZE }, (_, i) => Math.cos(i * 2.3) * 1.2);
  const sample = new Float32Array(SIZE);
  scheduler.addNoise(0, clean, noise, sample);
  const modelOutput = new Float32Array(SIZE);
  const tensors = { sample, modelOutput, noise, out: sample };
  const probe = new Float32Array(SIZE);
  const zeros = new Float32Array(SIZE);
  const ones = new Float32Array(SIZE).fill(1);
  for (let index = 0; index < scheduler.timesteps.length; index += 1) {
    // x0 is linear in the output: two probes give the output that implies the clean latents.
    scheduler.predictOriginal(index, sample, zeros, probe);
    const atZero = probe.slice();
    scheduler.predictOriginal(index, sample, ones, probe);
    for (let i = 0; i < SIZE; i += 1) {
      const slope = (probe[i] ?? 0) - (atZero[i] ?? 0);
      modelOutput[i] = ((clean[i] ?? 0) - (atZero[i] ?? 0)) / slope;
    }
    scheduler.step(index, tensors);
  }
  return { clean: [...clean], end: [...sample] };
}

describe('a sampler', () => {
  it.each([
    ['EulerDiscreteScheduler', {}],
    ['EulerDiscreteScheduler', { use_exponential_sigmas: true }],
    ['EulerDiscreteScheduler', { prediction_type: 'sample' }],
    ['EulerAncestralDiscreteScheduler', {}],
    ['DPMSolverMultistepScheduler', {}],
    ['DPMSolverMultistepScheduler', { solver_order: 3 }],
    ['DPMSolverMultistepScheduler', { solver_type: 'heun' }],
    ['DPMSolverMultistepScheduler', { solver_order: 3, algorithm_type: 'sde-dpmsolver++', use_lu_lambdas: true }],
    ['DPMSolverMultistepScheduler', { use_exponential_sigmas: true, prediction_type: 'v_prediction' }],
    ['UniPCMultistepScheduler', {}],
    ['UniPCMultistepScheduler', { solver_order: 3 }],
    ['UniPCMultistepScheduler', { solver_order: 1, use_karras_sigmas: true }],
    ['UniPCMultistepScheduler', { solver_order: 3, lower_order_final: false }],
    ['UniPCMultistepScheduler', { solver_type: 'bh1' }],
    ['DDIMScheduler', { prediction_type: 'v_prediction' }],
    ['TCDScheduler', {}],
    ['LCMScheduler', {}],
  ])('%s with %j ends at the clean latents when the model knows them', (name, overrides) => {
    const { clean, end } = runWithPerfectModel(name, overrides);
    // DDIM and TCD end at the noise level of the first timestep; LCM's skip keeps a trace of it.
    const digits = ['DDIMScheduler', 'TCDScheduler', 'LCMScheduler'].includes(name) ? 1 : 4;
    end.forEach((value, i) => {
      expect(Math.abs(value - (clean[i] ?? 0))).toBeLessThan(0.5 * 10 ** -digits);
    });
  });

  it('of each class gives no NaN at any number of steps', () => {
    for (const name of SCHEDULER_NAMES) {
      for (const steps of [1, 2, 3, 15, 16, 50]) {
        const { end } = runWithPerfectModel(name, {}, { steps });
        expect([name, steps, end.every(Number.isFinite)]).toEqual([name, steps, true]);
      }
    }
  });

  it('may write its step into another array than the one that it reads', () => {
    const scheduler = schedulerOf('UniPCMultistepScheduler');
    const sample = new Float32Array(SIZE).fill(1);
    const out = new Float32Array(SIZE);
    scheduler.step(0, { sample, modelOutput: new Float32Array(SIZE).fill(0.5), noise: sample, out });
    expect(sample).toEqual(new Float32Array(SIZE).fill(1));
    expect(out.every((value) => value !== 0 && value !== 1)).toBe(true);
  });

  it('scales into the rows of a larger batch', () => {
    const scheduler = schedulerOf('EulerDiscreteScheduler', { timestep_spacing: 'leading' });
    const batch = new Float32Array(2 * SIZE);
    scheduler.scaleModelInput(0, new Float32Array(SIZE).fill(4), batch.subarray(SIZE));
    expect(batch[0]).toBe(0);
    expect(batch[SIZE]).toBeCloseTo(4 / scheduler.initNoiseSigma, 5);
  });

  it('takes listed timesteps when it is LCM or TCD, and only then', () => {
    expect([...schedulerOf('LCMScheduler', { timesteps: [800] }, { steps: 1 }).timesteps]).toEqual([800]);
    expect([...schedulerOf('TCDScheduler', { timesteps: [999, 400] }, { steps: 2 }).timesteps]).toEqual([999, 400]);
    expect(() => schedulerOf('LCMScheduler', { timesteps: [800] }, { steps: 2 })).toThrow('takes 1 steps exactly');
    expect(() => schedulerOf('EulerDiscreteScheduler', { timesteps: [800] })).toThrow('take listed timesteps');
    expect(() => schedulerOf('LCMScheduler', { timesteps: [1000] })).toThrow('must fall from below 1000');
    expect(() => schedulerOf('LCMScheduler', { timesteps: [5, 5] })).toThrow('must fall');
    expect(() => schedulerOf('LCMScheduler', { timesteps: [] })).toThrow('timesteps');
  });

  it('names the steps that it can take when asked for others', () => {
    expect(() => schedulerOf('LCMScheduler', {}, { steps: 51 })).toThrow('1 to 50 steps');
    expect(() => schedulerOf('EulerDiscreteScheduler', {}, { steps: 0 })).toThrow('1 to 1000 steps');
    expect(() => schedulerOf('DPMSolverMultistepScheduler', {}, { steps: 1001 })).toThrow('1 to 1000 steps');
    expect(() => schedulerOf('DDIMScheduler', {}, { steps: 2.5 })).toThrow('1 to 1000 steps');
  });

  it.each([
    ['EulerDiscreteScheduler', { use_beta_sigmas: true }],
    ['EulerAncestralDiscreteScheduler', { prediction_type: 'sample' }],
    ['DPMSolverMultistepScheduler', { algorithm_type: 'dpmsolver' }],
    ['DPMSolverMultistepScheduler', { use_flow_sigmas: true }],
    ['UniPCMultistepScheduler', { predict_x0: false }],
    ['DDIMScheduler', { thresholding: true }],
  ])('%s refuses %j by name', (name, overrides) => {
    expect(() => schedulerOf(name, overrides)).toThrow(`${Object.keys(overrides)[0]} is not supported here`);
  });

  it('is refused with the names of the others when there is none of its class', () => {
    expect(() => schedulerOf('PNDMScheduler')).toThrow(/no sampler PNDMScheduler here; there are EulerDiscrete/);
    expect(() => schedulerOf('toString')).toThrow('no sampler toString');
  });
});

describe('a scheduler_config.json', () => {
  it('may hold what JSON lacks, bare or quoted, and strings that look like it', () => {
    const text = '{"_class_name": "x", "lambda_min_clipped": -Infinity, "note": "a \\" -Infinity, NaN"}';
    expect(parseSchedulerConfig(text)).toEqual({ _class_name: 'x', lambda_min_clipped: Number.NEGATIVE_INFINITY });
    expect(parseSchedulerConfig('{"_class_name": "x", "lambda_min_clipped": "-Infinity"}')).toEqual({
      _class_name: 'x',
      lambda_min_clipped: Number.NEGATIVE_INFINITY,
    });
  });

  it('is refused with the key that is wrong', () => {
    expect(() => parseSchedulerConfig('{')).toThrow('not JSON');
    expect(() => parseSchedulerConfig('[]')).toThrow('scheduler_config.json');
    expect(() => parseSchedulerConfig('{}')).toThrow('_class_name');
    expect(() => parseSchedulerConfig('{"_class_name": "x", "beta_start": "low"}')).toThrow('beta_start');
    expect(() => parseSchedulerConfig('{"_class_name": "x", "beta_start": NaN}')).toThrow('beta_start');
  });
});

describe('rounding', () => {
  it('takes halves to the even neighbour, as NumPy does', () => {
    expect([-1.5, -0.5, 0.5, 1.5, 2.5, 62.5, 2.4, 2.6, -2.6].map(roundHalfEven)).toEqual([
      -2, 0, 0, 2, 2, 62, 2, 3, -3,
    ]);
  });
});
