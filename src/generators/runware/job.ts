import { AppError } from '../../errors.ts';
import type { GenerateHooks, Work } from '../generator.ts';
import { unknownOutcome } from '../remote/exchange.ts';
import { paid } from '../remote/failures.ts';
import type { ImageReader } from '../remote/images.ts';
import type { JobState, RemoteJob } from '../remote/job.ts';
import type { RunwareApi } from './api.ts';
import { failureOf, meaningOf } from './failures.ts';
import { PROVIDER } from './provider.ts';
import type { Answer, TaskResult } from './wire.ts';

/** Failures of a submit after which the work may be there all the same. */
const UNCLEAR: ReadonlySet<string> = new Set(['outcome_unknown', 'invalid_output']);

/** What a job works with. */
export interface JobParts {
  readonly api: RunwareApi;
  readonly images: ImageReader;
  readonly work: Work;
  readonly hooks: Pick<GenerateHooks, 'onCost'>;
  /** The tasks of the work, under these ids. Throws `invalid_request`. */
  tasks(ids: readonly string[]): readonly object[];
  /** An id for a task. */
  newId(): string;
  /** How often the work may be looked for, and not be found, before it counts as lost. */
  readonly looksForUnseen: number;
  /** USD for an image whose result states no cost. */
  readonly pricePerImage: number | undefined;
}

/** The images of a job, encoded. */
export type JobImages = readonly Uint8Array[];

/**
 * A work at Runware: a task for each image, whose ids are ours. They are journalled before they are submitted, so
 * that a submit whose answer never came is looked for and not repeated.
 */
export function createRunwareJob(parts: JobParts): RemoteJob<Submission, JobImages> {
  const { api, images, work, hooks } = parts;
  let last: Answer = { results: [], errors: [] };
  let unseen = 0;

  async function look(id: string, signal: AbortSignal): Promise<JobState> {
    const ids = id.split(',');
    last = await api.look(ids, signal);
    const known = ids.filter((one) => resultOf(last, one) !== undefined || errorOf(last, one) !== undefined);
    const lost = last.errors.some(({ code }) => meaningOf(code) === 'lost');
    if (lost || known.length < ids.length) {
      unseen += 1;
      if (unseen >= parts.looksForUnseen) throw unknownOutcome(PROVIDER);
      return 'queued';
    }
    unseen = 0;
    return ids.every((one) => isOver(last, one)) ? 'finished' : 'running';
  }

  async function collect(id: string, signal: AbortSignal): Promise<JobImages> {
    const ids = id.split(',');
    const usd = costOf(ids);
    if (usd !== undefined) hooks.onCost(usd);
    const [error] = last.errors;
    if (error !== undefined) throw failureOf(error);
    const results = ids.flatMap((one) => resultOf(last, one) ?? []);
    if (results.some(({ NSFWContent }) => NSFWContent === true)) {
      throw new AppError('content_rejected', `${PROVIDER} finds the image unsafe to show.`);
    }
    return await paid(() => Promise.all(results.map((result) => read(result, signal))));
  }

  /** A link may have expired: the provider makes another when it is asked once more. */
  async function read(result: TaskResult, signal: AbortSignal): Promise<Uint8Array> {
    try {
      return await readResult(result, signal);
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'result_expired') throw error;
      const again = resultOf(await api.look([result.taskUUID], signal), result.taskUUID);
      return await readResult(again ?? result, signal);
    }
  }

  async function readResult(result: TaskResult, signal: AbortSignal): Promise<Uint8Array> {
    const { imageURL, imageDataURI, imageBase64Data } = result;
    if (typeof imageURL === 'string') return await images.fetch(imageURL, signal);
    const inline = imageDataURI ?? imageBase64Data;
    if (typeof inline !== 'string') throw new AppError('invalid_output', `${PROVIDER} sent a result without an image.`);
    return images.decode(inline);
  }

  function costOf(ids: readonly string[]): number | undefined {
    const costs = ids.flatMap((one) => resultOf(last, one) ?? []).map(({ cost }) => cost ?? parts.pricePerImage);
    return costs.every((cost) => cost === undefined) ? undefined : costs.reduce<number>((sum, c) => sum + (c ?? 0), 0);
  }

  return {
    async prepare() {
      const ids = Array.from({ length: work.numImages }, parts.newId);
      return { id: ids.join(','), tasks: parts.tasks(ids) };
    },
    idOf: ({ id }) => id,
    async submit({ id, tasks }, signal, onSent) {
      try {
        const { errors } = await api.submit(tasks, signal, onSent);
        // An id that is taken can only be taken by this submit.
        const refused = errors.filter(({ code }) => meaningOf(code) !== 'taken');
        const [error] = refused;
        if (error !== undefined) throw refusal(failureOf(error), refused.length < tasks.length);
      } catch (error) {
        signal.throwIfAborted();
        // Our ids can be asked about: looking for them says whether there is work.
        if (!(error instanceof AppError) || !UNCLEAR.has(error.code)) throw error;
      }
      return id;
    },
    look,
    collect,
    // There is no way to cancel.
    cancel: async () => false,
    costOf: async (id) => costOf(id.split(',')),
  };
}

/** What is submitted: tasks, and their ids as one. */
export interface Submission {
  readonly id: string;
  readonly tasks: readonly object[];
}

/** Where only some of the tasks were refused, the others are drawn and paid: the whole is not tried again. */
function refusal(failure: AppError, othersRun: boolean): AppError {
  return othersRun ? new AppError(failure.code, failure.message, { cause: failure, retryable: false }) : failure;
}

function resultOf({ results }: Answer, id: string): TaskResult | undefined {
  const own = results.filter(({ taskUUID }) => taskUUID === id);
  return own.find(isDone) ?? own[0];
}

function errorOf({ errors }: Answer, id: string) {
  return errors.find(({ taskUUID }) => taskUUID === id);
}

function isDone({ status, imageURL, imageDataURI, imageBase64Data }: TaskResult): boolean {
  return status === 'success' || typeof (imageURL ?? imageDataURI ?? imageBase64Data) === 'string';
}

function isOver(answer: Answer, id: string): boolean {
  const result = resultOf(answer, id);
  return errorOf(answer, id) !== undefined || (result !== undefined && isDone(result));
}
