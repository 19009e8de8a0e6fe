import { AppError } from '../../../errors.ts';
import type { RawPixels } from '../../generator.ts';
import type { ChildLink } from './child-link.ts';
import type { FromChild, RenderJob } from './protocol.ts';
import { createReceiver, sendPixels } from './transfer.ts';

/** How a render talks to whoever waits for it. */
export interface RenderHooks {
  readonly signal: AbortSignal;
  onProgress(progress: { readonly step: number; readonly steps: number; readonly stepMs: number }): void;
  wantsPreview(): boolean;
  onPreview(preview: { readonly step: number; readonly steps: number; readonly pixels: RawPixels }): void;
}

/** What a render looks at, RGB. */
export interface RenderInputs {
  readonly reference: RawPixels | undefined;
  readonly depth: RawPixels | undefined;
}

/** What the child says of a render. */
export type RenderMessage = Exclude<FromChild, { kind: 'loading' | 'loaded' | 'not-loaded' }>;

/** One render, seen from the server. */
export interface Rendering {
  readonly id: number;
  /** Rejects with the signal's reason once the work has stopped, if it was stopped. */
  readonly images: Promise<RawPixels[]>;
  /** Sends the job and its pixels. */
  begin(): void;
  hear(message: RenderMessage): void;
  /** Ends it because its process is gone; `how` is for the log. */
  die(how: string): void;
}

/** Options of `createRendering`. */
export interface RenderingOptions {
  readonly id: number;
  readonly link: ChildLink;
  readonly job: RenderJob;
  readonly inputs: RenderInputs;
  readonly hooks: RenderHooks;
}

/** Creates the server's side of a render. Asks once, now, whether previews are wanted. */
export function createRendering({ id, link, job, inputs, hooks }: RenderingOptions): Rendering {
  const { signal } = hooks;
  const { reference, depth } = inputs;
  const receiver = createReceiver(job.seeds.map(() => ({ width: job.width, height: job.height })));
  const { promise: images, resolve, reject } = Promise.withResolvers<RawPixels[]>();
  let previews = hooks.wantsPreview();

  /** Pixels of previews cross the processes only while somebody looks. */
  function tellPreviews(): void {
    const wanted = hooks.wantsPreview();
    if (wanted === previews || signal.aborted) return;
    previews = wanted;
    void link.send({ kind: 'previews', id, wanted });
  }

  function fail(error: unknown): void {
    reject(signal.aborted ? signal.reason : error);
  }

  function finish(): void {
    try {
      if (signal.aborted) reject(signal.reason);
      else resolve(receiver.finish());
    } catch (error) {
      reject(error);
    }
  }

  return {
    id,
    images,
    begin() {
      void link.send({ kind: 'render', id, job, reference: sizeOf(reference), depth: sizeOf(depth), previews });
      void sendInputs(
        link,
        id,
        [reference, depth].filter((pixels) => pixels !== undefined),
      );
    },
    hear(message) {
      switch (message.kind) {
        case 'progress':
          if (signal.aborted) return;
          hooks.onProgress({ step: message.step, steps: message.steps, stepMs: message.stepMs });
          if (!signal.aborted) tellPreviews();
          return;
        case 'preview': {
          if (signal.aborted || !hooks.wantsPreview() || signal.aborted) return;
          const { step, steps, width, height, data } = message;
          hooks.onPreview({ step, steps, pixels: { data, width, height, channels: 3 } });
          return;
        }
        case 'chunk':
          receiver.take(message);
          return;
        case 'done':
          finish();
          return;
        case 'stopped':
          reject(signal.reason);
          return;
        case 'failed':
          fail(renderError(message));
      }
    },
    die: (how) => fail(crashed(how)),
  };
}

/** `generator_crashed`: the process is gone; `how` is for the log. */
export function crashed(how: string): AppError {
  const message = 'The process of the model has died, perhaps for lack of memory; it is started again.';
  return new AppError('generator_crashed', message, { cause: new Error(how) });
}

async function sendInputs(link: ChildLink, id: number, inputs: readonly RawPixels[]): Promise<void> {
  for (const [index, { data }] of inputs.entries()) await sendPixels(link.send, { id, index, data });
}

function sizeOf(pixels: RawPixels | undefined) {
  return pixels && { width: pixels.width, height: pixels.height };
}

function renderError({ why, message, detail }: Extract<RenderMessage, { kind: 'failed' }>): AppError {
  const cause = new Error(detail);
  switch (why) {
    case 'request':
      return new AppError('invalid_request', message, { cause });
    case 'fatal':
      return new AppError('generator_crashed', message, { cause });
    case 'output':
      return new AppError('generator_failed', message, { cause, retryable: false });
    case 'error':
      return new AppError('generator_failed', message, { cause });
  }
}
