import { join } from 'node:path';
import { z } from 'zod';
import { parseSchedulerConfig, settingsOf } from '../../src/generators/local-sdxl/schedulers/config.ts';
import { createScheduler } from '../../src/generators/local-sdxl/schedulers/index.ts';
import { alphasCumprod } from '../../src/generators/local-sdxl/schedulers/noise-schedule.ts';
import type { Scheduler } from '../../src/generators/local-sdxl/schedulers/scheduler.ts';
import { readGolden } from './json.ts';
import type { Check, Measure } from './measure.ts';
import { check, worstAbsolute, worstOfLargest, worstRelative } from './measure.ts';

const FRACTION = 1e-4;
const SIGMA = 2e-6;
const VALUE = 5e-6;
/** PyTorch's square root misses the last bit of every sixth value, and taking nearly as much away makes it larger. */
const CUMPROD_OF_ZERO_SNR = 1e-5;
/** The first sigma is 4096 then, and float32 itself loses this much. */
const VALUE_OF_ZERO_SNR = 2e-4;

const numbers = z.array(z.number());

const caseSchema = z.object({
  class: z.string(),
  config: z.record(z.string(), z.unknown()),
  n: z.number(),
  note: z.string().default(''),
  eta: z.number().nullish(),
  begin_index: z.number().default(0),
  timesteps: numbers,
  sigmas: numbers.nullish(),
  init_noise_sigma: z.number(),
  noise_rows_used: z.number(),
  start: numbers,
  samples: z.array(numbers),
});

const tableSchema = z.object({
  X: numbers,
  Z: numbers,
  alphas_cumprod: z.record(z.string(), numbers).default({}),
  noise: z.array(numbers),
  cases: z.array(caseSchema),
});

type Table = z.output<typeof tableSchema>;
type Case = z.output<typeof caseSchema>;

/** Compares every sampler of a folder's `schedulers.json`, and the noise schedules that it lists. */
export async function checkSchedulers(dir: string): Promise<Check[]> {
  const table = await readGolden(join(dir, 'schedulers.json'), tableSchema);
  const schedules = Object.entries(table.alphas_cumprod).map(([name, golden]) =>
    check(`alphas_cumprod of ${name}`, () => compareNoiseSchedule(name, golden)),
  );
  const runs = table.cases.map((one) => check(nameOf(one), () => compareRun(table, one)));
  return await Promise.all([...schedules, ...runs]);
}

function nameOf({ class: name, config, n, note, eta, begin_index }: Case): string {
  const spacing = config.timestep_spacing ?? 'default spacing';
  const eta_ = typeof eta === 'number' ? `, eta ${eta}` : '';
  const begin = begin_index > 0 ? `, from ${begin_index}` : '';
  const karras = config.use_karras_sigmas === true ? ', Karras' : '';
  return `${name}, ${n} steps, ${spacing}${karras}${eta_}${begin}${note === '' ? '' : ` (${note})`}`;
}

/** Names are like `scaled_linear 0.00085 0.012, rescale_betas_zero_snr`. */
function compareNoiseSchedule(name: string, golden: readonly number[]): Measure[] {
  const [, beta_schedule, start, end, flags = ''] = /^(\w+) ([\d.e-]+) ([\d.e-]+)(.*)$/.exec(name) ?? [];
  const zeroSnr = flags.includes('rescale_betas_zero_snr');
  const config = parseSchedulerConfig('{"_class_name": "DDIMScheduler"}', {
    beta_schedule,
    beta_start: Number(start),
    beta_end: Number(end),
    num_train_timesteps: golden.length,
    rescale_betas_zero_snr: zeroSnr,
  });
  const worst = worstRelative(alphasCumprod(settingsOf(config)), golden);
  return [{ tensor: 'alphas_cumprod', worst, hold: zeroSnr ? CUMPROD_OF_ZERO_SNR : SIGMA }];
}

function compareRun(table: Table, one: Case): Measure[] {
  const config = parseSchedulerConfig('{}', { ...one.config, _class_name: one.class });
  const run = { steps: one.n, size: table.X.length, beginIndex: one.begin_index, eta: one.eta ?? 0 };
  const scheduler = createScheduler(config, run);
  const whole = one.timesteps.every(Number.isInteger);
  const value = config.rescale_betas_zero_snr === true ? VALUE_OF_ZERO_SNR : VALUE;
  const steps = [...stepThrough(scheduler, table, one)];
  const rows = steps.filter(({ drewNoise }) => drewNoise).length;
  const start = startOf(scheduler, table);
  return [
    { tensor: 'timesteps', worst: worstAbsolute(scheduler.timesteps, one.timesteps), hold: whole ? 0 : FRACTION },
    { tensor: 'sigmas', worst: worstRelative(scheduler.sigmas ?? [], one.sigmas ?? []), hold: SIGMA },
    {
      tensor: 'init_noise_sigma',
      worst: worstRelative([scheduler.initNoiseSigma], [one.init_noise_sigma]),
      hold: SIGMA,
    },
    { tensor: 'start', worst: worstOfLargest(start, one.start), hold: value },
    { tensor: 'draws of noise', worst: Math.abs(rows - one.noise_rows_used), hold: 0 },
    {
      tensor: 'samples',
      worst: Math.max(Math.abs(steps.length - one.samples.length), ...steps.map(({ worst }) => worst)),
      hold: value,
    },
  ];
}

function startOf(scheduler: Scheduler, { X, Z }: Table): Float32Array {
  const noise = Float32Array.from(X);
  if (scheduler.beginIndex === 0) return noise.map((value) => value * scheduler.initNoiseSigma);
  const start = new Float32Array(noise.length);
  scheduler.addNoise(scheduler.beginIndex, Float32Array.from(Z), noise, start);
  return start;
}

/** Steps the sampler with the table's model in place of a UNet. */
function* stepThrough(scheduler: Scheduler, table: Table, one: Case) {
  const latents = startOf(scheduler, table);
  const scaled = latents.slice();
  const modelOutput = latents.slice();
  const noise = new Float32Array(latents.length);
  const tensors = { sample: latents, modelOutput, noise, out: latents };
  let row = 0;
  for (let index = scheduler.beginIndex; index < scheduler.timesteps.length; index += 1) {
    scheduler.scaleModelInput(index, latents, scaled);
    const timestep = one.timesteps[index] ?? NaN;
    scaled.forEach((y, j) => {
      modelOutput[j] = (0.8 * y) / (1 + Math.abs(y)) + (0.3 * timestep) / 1000 - 0.02 * j;
    });
    const drewNoise = scheduler.drawsNoise(index);
    if (drewNoise) {
      noise.set(table.noise[row] ?? []);
      row += 1;
    }
    scheduler.step(index, tensors);
    yield { drewNoise, worst: worstOfLargest(latents, one.samples[index - scheduler.beginIndex] ?? []) };
  }
}
