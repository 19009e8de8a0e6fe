import type { RawPixels } from '../../generator.ts';
import type { ModelFolder } from '../model/model-folder.ts';
import type { OpenGraph } from '../networks/graph.ts';
import type { Batch } from '../pipeline/pipeline.ts';
import { runPipeline } from '../pipeline/pipeline.ts';
import { TorchGenerator } from '../torch-random.ts';
import { isDeviceFailure, loadFailure, renderFailure } from './failures.ts';
import type { OpenModel } from './open-model.ts';
import { openModel } from './open-model.ts';
import type { FromChild, LoadOptions, RenderJob, ToChild } from './protocol.ts';
import type { Receiver } from './transfer.ts';
import { createReceiver, sendPixels } from './transfer.ts';

type RenderMessage = Extract<ToChild, { kind: 'render' }>;
type LoadMessage = Extract<ToChild, { kind: 'load' }>;

interface Rendering {
  readonly inputs: Receiver;
  readonly stop: AbortController;
  previews: boolean;
}

/** Options of `createModelHost`. */
export interface ModelHostOptions {
  readonly openGraph: OpenGraph;
  /** Resolves when the message has left. */
  send(message: FromChild): Promise<void>;
}

/**
 * The child's side: loads models and renders with them, one thing after another, as messages say. Everything that
 * goes wrong is told; it never throws.
 */
export function createModelHost({ openGraph, send }: ModelHostOptions): (message: ToChild) => void {
  let open: OpenModel | undefined;
  let last = Promise.resolve();
  const renderings = new Map<number, Rendering>();

  function inTurn(work: () => Promise<void>): void {
    last = last.then(work);
  }

  async function load({ id, model, options }: LoadMessage): Promise<void> {
    try {
      await open?.release();
      open = undefined;
      open = await openOn(id, model, options);
      await send({ kind: 'loaded', id, facts: open.facts });
    } catch (error) {
      await send({ id, ...loadFailure(error) });
    }
  }

  /** Opens the model on its device, or on the CPU when that fails and the operator wants it so. */
  async function openOn(id: number, model: ModelFolder, options: LoadOptions): Promise<OpenModel> {
    const onLoading = (graph: Extract<FromChild, { kind: 'loading' }>['graph'], index: number, of: number): void =>
      void send({ kind: 'loading', id, graph, index, of });
    try {
      return await openModel(model, openGraph, options, onLoading);
    } catch (error) {
      if (!options.fallback || options.device === 'cpu' || !isDeviceFailure(error)) throw error;
      const opened = await openModel(model, openGraph, { ...options, device: 'cpu' }, onLoading);
      const notes = ['The GPU cannot be used; the CPU renders in its place.', ...opened.facts.notes];
      return { ...opened, facts: { ...opened.facts, notes } };
    }
  }

  function accept(message: RenderMessage): void {
    const sizes = [message.reference, message.depth].filter((size) => size !== undefined);
    const rendering = { inputs: createReceiver(sizes), stop: new AbortController(), previews: message.previews };
    renderings.set(message.id, rendering);
    inTurn(async () => {
      await render(message, rendering);
      renderings.delete(message.id);
    });
  }

  async function render({ id, job, reference, depth }: RenderMessage, rendering: Rendering): Promise<void> {
    const { signal } = rendering.stop;
    try {
      if (open === undefined) throw new Error('no model is loaded');
      await orStopped(rendering.inputs.complete, signal);
      const inputs = rendering.inputs.finish();
      let previewLeft = true;
      const images = await runPipeline(
        open.pipeline,
        {
          ...job,
          batches: batchesOf(job),
          reference: reference && inputs.shift(),
          depth: depth && inputs.shift(),
        },
        {
          signal,
          onStep: ({ step, steps, ms }) => void send({ kind: 'progress', id, step, steps, stepMs: ms }),
          // One that is still on its way is older than the next: that can wait for the step after.
          wantsPreview: () => rendering.previews && previewLeft,
          onPreview({ step, steps, pixels: { width, height, data } }) {
            previewLeft = false;
            void send({ kind: 'preview', id, step, steps, width, height, data }).then(() => {
              previewLeft = true;
            });
          },
        },
      );
      await sendImages(id, images);
      await send({ kind: 'done', id });
    } catch (error) {
      await send(signal.aborted ? { kind: 'stopped', id } : { id, ...renderFailure(error) });
    }
  }

  async function sendImages(id: number, images: readonly RawPixels[]): Promise<void> {
    for (const [index, { data }] of images.entries()) await sendPixels(send, { id, index, data });
  }

  return (message) => {
    switch (message.kind) {
      case 'load':
        inTurn(() => load(message));
        return;
      case 'render':
        accept(message);
        return;
      case 'chunk':
        renderings.get(message.id)?.inputs.take(message);
        return;
      case 'previews': {
        const rendering = renderings.get(message.id);
        if (rendering !== undefined) rendering.previews = message.wanted;
        return;
      }
      case 'cancel':
        renderings.get(message.id)?.stop.abort();
    }
  };
}

/** Images go through the UNet one by one: a batch of them would need that much more memory and save little. */
function batchesOf({ seeds }: RenderJob): Batch[] {
  return seeds.map((seed) => {
    const generator = new TorchGenerator(seed);
    return { images: 1, noise: (out) => generator.randn(out) };
  });
}

async function orStopped(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  const stopped = Promise.withResolvers<void>();
  const stop = (): void => stopped.reject(signal.reason);
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  try {
    await Promise.race([promise, stopped.promise]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
