import { setImmediate as turnOfLoop } from 'node:timers/promises';
import { AppError } from '../../../errors.ts';
import type { RawPixels } from '../../generator.ts';
import type { LatentScale } from '../model/model-folder.ts';
import { toNumbers } from '../networks/bind.ts';
import type { Denoiser } from '../networks/denoiser.ts';
import type { GraphTensor } from '../networks/graph.ts';
import { roundToHalf } from '../networks/half.ts';
import type { TextEncoder } from '../networks/text-encoder.ts';
import type { Planes, VaeDecoder, VaeEncoder } from '../networks/vae.ts';
import { resizeLanczos } from '../pil-resize.ts';
import type { SchedulerConfig } from '../schedulers/config.ts';
import { createScheduler } from '../schedulers/index.ts';
import type { ConditioningParts, MicroConditioning } from './conditioning.ts';
import { buildConditions, timeIdsOf } from './conditioning.ts';
import type { ControlRange } from './control.ts';
import { controlScaleAt } from './control.ts';
import { createGuidance } from './guidance.ts';
import { sampleLatents, toDecoder } from './latents.ts';
import { fromPixels, toPixels } from './pixels.ts';
import { drawPreview } from './preview.ts';
import type { Prompts, Tokenize } from './prompts.ts';
import { encodePrompts } from './prompts.ts';

const CHANNELS = 4;

/** The networks of a model. Each is opened when it is asked for, unless it is kept open. */
export interface Networks {
  textEncoders(): Promise<readonly [TextEncoder, TextEncoder]>;
  vaeEncoder(): Promise<VaeEncoder>;
  denoiser(): Promise<Denoiser>;
  vaeDecoder(): Promise<VaeDecoder>;
  /** Says that a stage is over: its networks are not needed before the next run. */
  done(stage: 'text' | 'image' | 'denoising' | 'decoding'): Promise<void>;
}

/** A model as the pipeline uses it. */
export interface PipelineModel {
  readonly networks: Networks;
  /** For either text encoder. */
  readonly tokenize: readonly [Tokenize, Tokenize];
  readonly latents: LatentScale;
  readonly forceZeros: boolean;
  /** Whether the UNet takes guidance as an input, and so needs no second pass for it. */
  readonly takesGuidance: boolean;
}

/** Images that go through the UNet together. */
export interface Batch {
  readonly images: number;
  /** Fills an array with one draw of Gaussian noise for all of them. */
  noise(out: Float32Array): void;
}

/** What to render, by diffusers' meanings. */
export interface PipelineRequest extends Prompts, MicroConditioning {
  readonly batches: readonly Batch[];
  readonly steps: number;
  /** Above 1 there is guidance. */
  readonly guidanceScale: number;
  /** φ, 0 to 1; 0 leaves guidance as it is. */
  readonly guidanceRescale: number;
  readonly scheduler: SchedulerConfig;
  readonly eta: number;
  /** Where image-to-image starts; RGB of any size. */
  readonly reference?: RawPixels | undefined;
  /** Of image-to-image: the share of the steps that runs. At least one does. */
  readonly strength: number;
  /** What ControlNet sees; RGB of any size. */
  readonly depth?: RawPixels | undefined;
  readonly control: ControlRange;
}

/** A step that is done, counted from 1 over all batches. */
export interface StepDone {
  readonly step: number;
  readonly steps: number;
}

/** Who watches and steers a run. */
export interface PipelineHooks {
  readonly signal: AbortSignal;
  /** `ms`: how long this step took. */
  onStep(done: StepDone & { readonly ms: number }): void;
  wantsPreview(): boolean;
  onPreview(preview: StepDone & { readonly pixels: RawPixels }): void;
  readonly tap?: Tap | undefined;
}

/**
 * Hears of a tensor on its way, by diffusers' names; `at` counts steps or images from 0. The data are overwritten
 * afterwards.
 */
export type Tap = (name: string, data: ArrayLike<number>, at?: number) => void;

/**
 * Stable Diffusion XL: text, or text and an image, to images, with or without ControlNet; after diffusers'
 * `pipeline_stable_diffusion_xl.py`, `…_img2img.py` and `pipeline_controlnet_sd_xl.py`. Images come in the order of
 * the batches. Rejects with the signal's reason within a step.
 */
export async function runPipeline(
  model: PipelineModel,
  request: PipelineRequest,
  hooks: PipelineHooks,
): Promise<RawPixels[]> {
  const { networks, takesGuidance } = model;
  const { guidanceScale, batches } = request;
  const { signal, tap } = hooks;

  // 1. What the words mean. With guidance the UNet also hears what nobody asked for.
  const guided = guidanceScale > 1 && !takesGuidance;
  const encoders = await networks.textEncoders();
  const text = await encodePrompts({ ...model, encoders }, request, { guided, tap });
  await networks.done('text');
  signal.throwIfAborted();

  // 2. The image to start from, as the VAE sees it.
  const encoded = request.reference && (await encodeReference(model, request, request.reference, tap));
  await networks.done('image');
  signal.throwIfAborted();

  // 3. What else stays the same over all steps.
  const parts: ConditioningParts = {
    text,
    timeIds: timeIdsOf(request, encoded !== undefined),
    height: request.height / model.latents.factor,
    width: request.width / model.latents.factor,
    guidance: takesGuidance ? guidanceScale : undefined,
  };

  // 4. Noise becomes latents, batch after batch.
  const denoiser = await networks.denoiser();
  const finished: Float32Array[] = [];
  for (const [index, batch] of batches.entries()) {
    const place = { index, of: batches.length };
    finished.push(...(await denoise({ model, request, denoiser, parts, encoded, batch, place }, hooks)));
  }
  await networks.done('denoising');

  // 5. Latents become pixels.
  const decoder = await networks.vaeDecoder();
  const images: RawPixels[] = [];
  for (const [index, latents] of finished.entries()) {
    await turnOfLoop();
    signal.throwIfAborted();
    const { height, width } = parts;
    const planes = { data: toDecoder(latents, model.latents), batch: 1, channels: CHANNELS, height, width };
    const decoded = await decoder.decode(planes);
    tap?.('decoded', decoded.data, index);
    const pixels = toPixels(decoded);
    if (pixels === undefined) throw overflow(decoder);
    tap?.('image', pixels.data, index);
    images.push(pixels);
  }
  await networks.done('decoding');
  signal.throwIfAborted();
  return images;
}

/** What a batch is denoised with. */
interface Denoising {
  readonly model: PipelineModel;
  readonly request: PipelineRequest;
  readonly denoiser: Denoiser;
  readonly parts: ConditioningParts;
  readonly encoded: Planes | undefined;
  readonly batch: Batch;
  readonly place: { readonly index: number; readonly of: number };
}

/** All steps of one batch; gives the latents of each of its images. */
async function denoise(
  { model, request, denoiser, parts, encoded, batch, place }: Denoising,
  hooks: PipelineHooks,
): Promise<Float32Array[]> {
  const { images } = batch;
  const { height, width } = parts;
  const perImage = CHANNELS * height * width;
  const length = images * perImage;
  const draw = (out: Float32Array): Float32Array => {
    batch.noise(out);
    if (denoiser.half) roundToHalf(out);
    return out;
  };

  // 1. The schedule. Image-to-image leaves out the steps before its image's noise level.
  const beginIndex = encoded === undefined ? 0 : request.steps - stepsOf(request);
  const { steps, eta } = request;
  const scheduler = createScheduler(request.scheduler, { steps, size: length, beginIndex, eta });
  const running = scheduler.timesteps.length - beginIndex;
  const { tap } = hooks;
  tap?.('timesteps', scheduler.timesteps);
  if (scheduler.sigmas !== undefined) tap?.('sigmas', scheduler.sigmas);
  tap?.('init_noise_sigma', [scheduler.initNoiseSigma]);

  // 2. Where the latents start: pure noise, or the image with as much noise as its first step expects.
  const latents = new Float32Array(length);
  if (encoded === undefined) {
    const noise = draw(new Float32Array(length));
    tap?.('initial_noise', noise);
    for (let i = 0; i < length; i += 1) latents[i] = (noise[i] ?? 0) * scheduler.initNoiseSigma;
  } else {
    const vaeNoise = new Float32Array(length);
    if (encoded.channels === 2 * CHANNELS) batch.noise(vaeNoise);
    tap?.('vae_noise', vaeNoise);
    const clean = sampleLatents(encoded, vaeNoise, model.latents, images);
    if (denoiser.half) roundToHalf(clean);
    tap?.('clean_latents', clean);
    const noise = draw(new Float32Array(length));
    tap?.('initial_noise', noise);
    scheduler.addNoise(beginIndex, clean, noise, latents);
  }
  if (denoiser.half) roundToHalf(latents);
  tap?.('start_latents', latents);

  // 3. What the UNet hears at every step.
  const conditions = buildConditions(parts, images);
  tap?.('time_ids', conditions.timeIds);
  if (conditions.timestepCond !== undefined) tap?.('timestep_cond', conditions.timestepCond);
  const picture = denoiser.takesControlImage ? controlPicture(request, conditions.rows, tap) : undefined;
  let run = 0;
  const predict = denoiser.prepare(conditions, picture, tap && ((residuals) => tapResiduals(residuals, tap, run)));
  const guided = conditions.rows > images;
  const guide = guided
    ? createGuidance({ scale: request.guidanceScale, rescale: request.guidanceRescale, images, length })
    : undefined;

  // 4. The steps. Everything they write to is made once.
  const input = new Float32Array(conditions.rows * perImage);
  const noise = new Float32Array(length);
  const original = new Float32Array(length);
  for (; run < running; run += 1) {
    await turnOfLoop();
    hooks.signal.throwIfAborted();
    const started = performance.now();
    const index = beginIndex + run;
    scheduler.scaleModelInput(index, latents, input.subarray(0, length));
    if (guided) input.copyWithin(length, 0, length);
    tap?.('unet_sample', input, run);
    const scale = request.depth === undefined ? 0 : controlScaleAt(request.control, run, running);
    const output = await predict(input, scheduler.timesteps[index] ?? 0, scale);
    tap?.('unet_out', output, run);
    const modelOutput = guide?.(output) ?? output;
    tap?.('noise_pred', modelOutput, run);
    if (scheduler.drawsNoise(index)) {
      draw(noise);
      tap?.('step_noise', noise, run);
    }
    const shows = hooks.wantsPreview();
    if (shows) scheduler.predictOriginal(index, latents, modelOutput, original);
    scheduler.step(index, { sample: latents, modelOutput, noise, out: latents });
    if (denoiser.half) roundToHalf(latents);
    tap?.('latents', latents, run);

    const done = { step: place.index * running + run + 1, steps: place.of * running };
    hooks.onStep({ ...done, ms: performance.now() - started });
    if (shows) hooks.onPreview({ ...done, pixels: drawPreview(original.subarray(0, perImage), height, width) });
  }
  return Array.from({ length: images }, (_image, image) => latents.slice(image * perImage, (image + 1) * perImage));
}

function tapResiduals(residuals: readonly GraphTensor[], tap: Tap, run: number): void {
  for (const [index, residual] of residuals.entries()) {
    tap(index === residuals.length - 1 ? 'residual_mid' : `residual_${index}`, toNumbers(residual), run);
  }
}

/** How many steps image-to-image runs. The reference refuses none at all; here there is always one. */
function stepsOf({ steps, strength }: PipelineRequest): number {
  return Math.max(1, Math.min(Math.trunc(steps * strength), steps));
}

async function encodeReference(
  { networks }: PipelineModel,
  { width, height }: PipelineRequest,
  reference: RawPixels,
  tap: Tap | undefined,
): Promise<Planes> {
  const resized = resize(reference, width, height);
  tap?.('image_resized', resized.data);
  const encoder = await networks.vaeEncoder();
  const encoded = await encoder.encode(fromPixels(resized, [-1, 1], 1));
  tap?.('vae_moments', encoded.data);
  return encoded;
}

/** What ControlNet sees: depth from 0 to 1, unlike the VAE's −1 to 1; black where there is none. */
function controlPicture({ depth, width, height }: PipelineRequest, rows: number, tap: Tap | undefined): Planes {
  const black: RawPixels = { data: new Uint8Array(width * height * 3), width, height, channels: 3 };
  const picture = depth === undefined ? black : resize(depth, width, height);
  if (depth !== undefined) tap?.('control_image_resized', picture.data);
  return fromPixels(picture, [0, 1], rows);
}

function resize(pixels: RawPixels, width: number, height: number): RawPixels {
  return { ...pixels, ...resizeLanczos(pixels, width, height), channels: pixels.channels };
}

function overflow({ half }: VaeDecoder): AppError {
  const hint = half
    ? 'in half precision SDXL’s own VAE overflows: export vae_decoder in float32, or sdxl-vae-fp16-fix'
    : 'the model or its export is damaged';
  return new AppError('generator_failed', `The VAE gave no numbers; ${hint}.`, { retryable: false });
}
