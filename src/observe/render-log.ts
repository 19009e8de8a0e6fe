import type { PublishedEvent } from '../render/hub.ts';
import type { Logger } from '../render/logger.ts';

/** What the log says of each event that is worth a line; prompts never appear. */
const SENTENCES = {
  RenderQueued: 'render queued',
  RenderStarted: 'render started',
  AttemptEnded: 'attempt ended',
  CostKnown: 'cost became known',
  ImageReady: 'image ready',
  RenderFailed: 'render failed',
  RenderCancelled: 'render cancelled',
  QueueCleared: 'the queue was cleared',
  QueuePaused: 'the queue is paused: nothing starts',
  QueueResumed: 'the queue goes on',
  GeneratorState: 'generator changed its state',
  ServerDraining: 'the server is stopping and takes no more renders',
} as const satisfies Record<PublishedEvent['event']['type'], string>;

/** Writes one line per event, with the render's ids in it. */
export function createRenderLog(log: Logger): (event: PublishedEvent) => void {
  return ({ door, event }) => {
    const sentence = SENTENCES[event.type];
    if (event.type === 'ImageReady') {
      const { seq, render_id, request_id, generator, image_id, width, height, format, seed, index, of, timings } =
        event;
      log.info(
        { seq, render_id, request_id, door, generator, image_id, width, height, format, seed, index, of, timings },
        sentence,
      );
      return;
    }
    const { time: _, type: _type, ...fields } = event;
    // There may be thousands after a kill, before the server is ready; the start says how many.
    if (event.type === 'AttemptEnded' && event.outcome === 'crashed') log.debug({ ...fields, door }, sentence);
    else if (event.type === 'RenderFailed') log.warn({ ...fields, door }, sentence);
    else log.info({ ...fields, door }, sentence);
  };
}
