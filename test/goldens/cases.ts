import { join } from 'node:path';
import { z } from 'zod';
import { controlScaleAt } from '../../src/generators/local-sdxl/pipeline/control.ts';
import type { PipelineRequest } from '../../src/generators/local-sdxl/pipeline/pipeline.ts';
import { runPipeline } from '../../src/generators/local-sdxl/pipeline/pipeline.ts';
import { pipelineRequestOf, requestSchema, schedulerSchema } from './case-request.ts';
import { compareScheduler } from './case-scheduler.ts';
import { readGolden } from './json.ts';
import type { Check, Measure } from './measure.ts';
import { check, worstAbsolute, worstRelative } from './measure.ts';
import { GoldenModels } from './models.ts';
import type { GoldenTensor } from './tensors.ts';
import { readTensor, tensorSchema } from './tensors.ts';

const listSchema = z.object({
  models: z.string(),
  cases: z.array(z.object({ id: z.string() })),
});

const bounds = z.object({ embeds: z.number(), latents: z.number(), decoded: z.number() });

/** Differences that were found between right implementations; numbers by the tensor's name, beside other things. */
const measured = z.record(z.string(), z.unknown()).default({});

const caseSchema = z.object({
  model: z.string(),
  pipeline: z.string(),
  request: requestSchema,
  scheduler: schedulerSchema,
  derived: z.object({ begin_index: z.number().default(0), controlnet_scales: z.array(z.number()).nullish() }),
  tensors: z.array(tensorSchema),
  differences: z
    .object({
      float64_outside_graphs_vs_ort: measured,
      float64_outside_graphs_vs_torch: measured,
    })
    .optional(),
  tolerance: z.object({
    ort: bounds,
    torch: bounds,
    image: z.object({ max: z.number(), differing_fraction: z.number() }),
  }),
});

type Case = z.output<typeof caseSchema>;

/** The cases of a folder, to be checked one after another. Dispose it to free the models. */
export interface Cases extends AsyncDisposable {
  readonly names: readonly string[];
  /** Runs a case through the pipeline and compares all its tensors. */
  check(name: string): Promise<Check>;
}

/** Reads the list of a folder's cases. */
export async function openCases(dir: string): Promise<Cases> {
  const folder = join(dir, 'cases');
  const list = await readGolden(join(folder, 'cases.json'), listSchema);
  const models = new GoldenModels(join(folder, list.models));
  return {
    names: list.cases.map(({ id }) => id),
    check: (name) => check(name, () => compareCase(join(folder, name), models)),
    [Symbol.asyncDispose]: () => models[Symbol.asyncDispose](),
  };
}

async function compareCase(folder: string, models: GoldenModels): Promise<Measure[]> {
  const one = await readGolden(join(folder, 'case.json'), caseSchema);
  const model = await models.open(one.model);
  const request = await pipelineRequestOf(one, model.folder, folder);
  const heard = await run(model.open.pipeline, request);

  const measures: Measure[] = [];
  for (const golden of one.tensors) {
    const actual = heardAs(golden.name, heard);
    measures.push(...compareTensor(one, golden, actual, await readTensor(folder, golden)));
  }
  measures.push(...compareControl(one, request));
  measures.push(...(await compareScheduler(one.tensors, folder, request, one.derived.begin_index)));
  return measures;
}

/** Everything that the pipeline's tap told, in order. */
type Heard = ReadonlyMap<string, readonly Float64Array[]>;

async function run(model: Parameters<typeof runPipeline>[0], request: PipelineRequest): Promise<Heard> {
  const heard = new Map<string, Float64Array[]>();
  await runPipeline(model, request, {
    signal: new AbortController().signal,
    onStep() {},
    wantsPreview: () => false,
    onPreview() {},
    tap(name, data) {
      const parts = heard.get(name) ?? [];
      parts.push(Float64Array.from(data));
      heard.set(name, parts);
    },
  });
  return heard;
}

/** A golden tensor is all that was heard by its name, or the first or last of it. */
function heardAs(name: string, heard: Heard): Float64Array {
  const [, base = name, which] = /^(.*)_(first|last)$/.exec(name) ?? [];
  const parts = heard.get(base);
  if (parts === undefined) throw new Error(`the pipeline does not tell of ${name}`);
  if (which === 'last') return parts.at(-1) ?? new Float64Array();
  if (which === 'first' || name.startsWith('residual')) return parts[0] ?? new Float64Array();
  return Float64Array.from(parts.flatMap((part) => [...part]));
}

const NOISE = 3e-6;
/** A float32 value just beside a tie is rounded the other way: the spacing of float16 between 2 and 4. */
const NOISE_IN_HALVES = 2 ** -9;
/** Its phases go to 7000 in float32, whose last bit is 5e-4 there. */
const TIMESTEP_COND = 1e-3;
/** A case's tolerance is for its latents. What lies between may differ more: guidance multiplies differences. */
const TIMES_MEASURED = 3;
const SCHEDULE = 2e-6;
const FRACTION = 1e-4;

function compareTensor(one: Case, golden: GoldenTensor, actual: Float64Array, values: Float64Array): Measure[] {
  const { name, source, dtype } = golden;
  const tensor = source === 'both' ? name : `${name} (${source})`;
  const bound = one.tolerance[source === 'torch' ? 'torch' : 'ort'];
  const absolute = (hold: number) => [{ tensor, worst: worstAbsolute(actual, values), hold }];
  const relative = (hold: number) => [{ tensor, worst: worstRelative(actual, values), hold }];
  switch (name) {
    case 'input_ids':
    case 'input_ids_2':
    case 'negative_input_ids':
    case 'negative_input_ids_2':
    case 'image_resized':
    case 'control_image_resized':
      return absolute(0);
    case 'time_ids':
      return [
        { tensor, worst: worstAbsolute(dtype === 'float16' ? actual.map(Math.f16round) : actual, values), hold: 0 },
      ];
    case 'timesteps':
      return absolute(values.every(Number.isInteger) ? 0 : FRACTION);
    case 'sigmas':
    case 'init_noise_sigma':
      return relative(SCHEDULE);
    case 'vae_noise':
    case 'initial_noise':
    case 'step_noise':
      return absolute(dtype === 'float16' ? NOISE_IN_HALVES : NOISE);
    case 'timestep_cond':
      return absolute(TIMESTEP_COND);
    case 'prompt_embeds':
    case 'negative_prompt_embeds':
    case 'pooled_prompt_embeds':
    case 'negative_pooled_prompt_embeds':
      return absolute(bound.embeds);
    case 'decoded':
      return absolute(bound.decoded);
    case 'image':
      return compareImage(tensor, one.tolerance.image, actual, values);
    case 'start_latents':
    case 'clean_latents':
    case 'latents':
      return absolute(bound.latents);
    default:
      return absolute(Math.max(bound.latents, TIMES_MEASURED * measuredOf(one, name, source)));
  }
}

/** What an implementation in double precision around the same graphs was found to differ by. */
function measuredOf({ differences }: Case, name: string, source: GoldenTensor['source']): number {
  const found = differences?.[source === 'torch' ? 'float64_outside_graphs_vs_torch' : 'float64_outside_graphs_vs_ort'];
  const value = found?.[name];
  return typeof value === 'number' ? value : 0;
}

function compareImage(
  tensor: string,
  { max, differing_fraction }: Case['tolerance']['image'],
  actual: Float64Array,
  values: Float64Array,
): Measure[] {
  const differing = values.filter((value, i) => value !== actual[i]).length;
  return [
    { tensor, worst: worstAbsolute(actual, values), hold: max },
    { tensor: `${tensor}, share that differs`, worst: differing / values.length, hold: differing_fraction },
  ];
}

function compareControl({ derived }: Case, { control }: PipelineRequest): Measure[] {
  const golden = derived.controlnet_scales;
  if (golden == null) return [];
  const scales = golden.map((_scale, step) => controlScaleAt(control, step, golden.length));
  return [{ tensor: 'controlnet_scales', worst: worstAbsolute(scales, golden), hold: 1e-7 }];
}
