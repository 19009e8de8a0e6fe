import type { Config } from '../../config/schema.ts';
import { AppError } from '../../errors.ts';
import type { Clock } from '../../render/clock.ts';
import type { GeneratedImage, GenerateHooks, Work } from '../generator.ts';
import { paid, submitting } from '../remote/failures.ts';
import type { ImageReader } from '../remote/images.ts';
import type { RemoteJob } from '../remote/job.ts';
import { readAgain } from '../remote/reads.ts';
import type { SendInput } from './inputs.ts';
import type { FalPreset } from './presets.ts';
import { priceOf } from './prices.ts';
import type { FalJob, FalQueue } from './queue.ts';
import type { FalResult } from './result.ts';
import { imagesOf } from './result.ts';

const READ_TRIES = 5;
const SEEDS = 2 ** 32;

/** What a job at fal.ai is made with. */
export interface FalJobParts {
  readonly config: Pick<Config['fal'], 'prices' | 'resubmit_unknown'>;
  readonly queue: FalQueue;
  readonly sendInput: SendInput;
  readonly images: ImageReader;
  readonly clock: Clock;
}

/** One work as a job of the queue. */
export function createFalJob(
  work: Work,
  preset: FalPreset,
  hooks: Pick<GenerateHooks, 'onCost'>,
  { config, queue, sendInput, images, clock }: FalJobParts,
): RemoteJob<Record<string, unknown>, GeneratedImage[]> {
  let seconds: number | undefined;

  async function collect(job: FalJob, signal: AbortSignal): Promise<GeneratedImage[]> {
    const result = await resultOf(job, signal);
    try {
      return await imagesFrom(result, signal).catch(async (error: unknown) => {
        if (!(error instanceof AppError) || error.code !== 'result_expired') throw error;
        // The links may have grown old while nobody looked; the job knows newer ones, if any.
        return await imagesFrom(await resultOf(job, signal), signal);
      });
    } finally {
      const usd = costOfResult(job, result);
      if (usd !== undefined && !signal.aborted) hooks.onCost(usd);
    }
  }

  async function resultOf(job: FalJob, signal: AbortSignal): Promise<FalResult> {
    const patience = { clock, signal, tries: READ_TRIES, pagesPass: true };
    return await paid(() => readAgain(() => queue.result(job, signal), patience));
  }

  async function imagesFrom(result: FalResult, signal: AbortSignal): Promise<GeneratedImage[]> {
    const found = imagesOf(result, work.numImages);
    const files = await paid(() => Promise.all(found.map(({ url }) => images.fetch(url, signal))));
    return files.map((bytes, index) => ({ kind: 'encoded', bytes, seed: (work.seed + index) % SEEDS }));
  }

  /** After a cancel: what still waits will not run; of the runners that were asked to stop, some do at once. */
  async function hasStopped(job: FalJob, signal: AbortSignal): Promise<boolean> {
    try {
      const { state } = await queue.look(job, signal);
      return state === 'queued' || (state === 'finished' && (await costOf(job, signal)) === 0);
    } catch (error) {
      if (error instanceof AppError && error.code === 'result_expired') return true;
      throw error;
    }
  }

  async function costOf(job: FalJob, signal: AbortSignal): Promise<number | undefined> {
    try {
      return costOfResult(job, await queue.result(job, signal));
    } catch (error) {
      // Jobs that fail or are cancelled are not billed.
      if (error instanceof AppError && error.code === 'generator_failed') return 0;
      throw error;
    }
  }

  function costOfResult({ endpoint }: FalJob, { images: found = [] }: FalResult): number | undefined {
    const size = ({ width, height }: Partial<Record<'width' | 'height', number | null | undefined>>) => ({
      width: width ?? work.width,
      height: height ?? work.height,
    });
    const sizes = found.length > 0 ? found.map(size) : Array.from({ length: work.numImages }, () => size({}));
    return priceOf(config.prices, { endpoint, sizes, seconds });
  }

  return {
    async prepare(signal) {
      const send = async (image: Work['depthMap']) => image && (await sendInput(image, signal));
      const [referenceImage, depthMap, mask] = await Promise.all([
        send(work.referenceImage),
        send(work.depthMap),
        send(work.mask),
      ]);
      return preset.arguments(work, { referenceImage, depthMap, mask });
    },

    submit: async (args, signal, onSent) =>
      nameOf(await submitting(config.resubmit_unknown, () => queue.submit(preset.endpoint, args, signal, onSent))),

    async look(id, signal) {
      const seen = await queue.look(jobOf(id), signal);
      seconds = seen.seconds ?? seconds;
      return seen.state;
    },

    collect: (id, signal) => collect(jobOf(id), signal),

    async cancel(id, signal) {
      const job = jobOf(id);
      const answer = await queue.cancel(job, signal);
      if (answer !== 'requested') return answer !== 'completed';
      return await hasStopped(job, signal);
    },

    costOf: (id, signal) => costOf(jobOf(id), signal),
  };
}

/** A job in one text, for the journal: after a restart the configuration may name another endpoint. */
function nameOf({ endpoint, requestId }: FalJob): string {
  return `${endpoint}#${requestId}`;
}

function jobOf(name: string): FalJob {
  const at = name.lastIndexOf('#');
  return { endpoint: name.slice(0, at), requestId: name.slice(at + 1) };
}
