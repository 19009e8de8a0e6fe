import type { GenerateHooks } from '../generators/generator.ts';
import type { Clock } from './clock.ts';
import type { Endings } from './endings.ts';
import type { Hub } from './hub.ts';
import type { Journal } from './journal.ts';
import type { RunningWork } from './running.ts';

type DrawingProgress = Parameters<GenerateHooks['onProgress']>[0];

/** Options of `createHooks`. */
export interface HookOptions {
  readonly journal: Pick<Journal, 'noteRemoteId' | 'noteCost'>;
  readonly endings: Pick<Endings, 'persist'>;
  readonly hub: Pick<Hub, 'progress'>;
  readonly clock: Clock;
}

/** Creates what a generator tells of a work while it draws. */
export function createHooks({ journal, endings, hub, clock }: HookOptions) {
  function report(work: RunningWork, { step, steps, etaMs }: DrawingProgress): void {
    work.progress = { step, steps };
    const meanMs = (clock.elapsed() - work.drawingStartedAt) / step;
    const eta_ms = Math.round(etaMs ?? meanMs * (steps - step));
    for (const { renderId, requestId } of work.waiters) {
      hub.progress({
        type: 'RenderProgress',
        time: new Date(clock.now()).toISOString(),
        render_id: renderId,
        request_id: requestId,
        generator: work.claimed.generator,
        step,
        steps,
        fraction: step / steps,
        eta_ms,
      });
    }
  }

  return function hooksOf(work: RunningWork): GenerateHooks {
    const { claimed, abort } = work;
    const { workId } = claimed;
    // Later attempts must not be mistaken for this one.
    const { attempt } = work;
    const isCurrent = () => work.attempt === attempt && !work.isOver;
    return {
      signal: abort.signal,
      onProgress: (progress: DrawingProgress) => {
        if (isCurrent() && !abort.signal.aborted) report(work, progress);
      },
      wantsPreview: () => false,
      onPreview: () => undefined,
      remoteId: work.remoteId,
      onRemoteId: async (remoteId: string | undefined) => {
        await journal.noteRemoteId({ workId, attempt, remoteId });
        if (isCurrent()) work.remoteId = remoteId;
      },
      onDetached: () => {
        if (isCurrent()) work.detached = true;
      },
      onCost: (costUsd: number) => {
        const call = () => journal.noteCost({ workId, attempt, costUsd, at: clock.now() });
        void endings.persist('the cost of an attempt', work.context, call);
      },
    };
  };
}
