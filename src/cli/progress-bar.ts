import { SingleBar } from 'cli-progress';
import type { Client } from '../client/client.ts';
import { renderProgress } from '../messages/events.ts';
import type { RenderResource } from '../messages/render.ts';
import type { Output } from './client-command.ts';

/** What the bar shows of a render. */
export interface ProgressBarOptions {
  readonly client: Pick<Client, 'events'>;
  readonly render: RenderResource;
  readonly stream: Output;
}

/** Shows how far a render is until `done` settles, as long as the event stream tells; never fails by itself. */
export async function withProgressBar<T>({ client, render, stream }: ProgressBarOptions, done: Promise<T>): Promise<T> {
  const leaving = new AbortController();
  const shown = show({ client, render, stream }, leaving.signal);
  try {
    return await done;
  } finally {
    leaving.abort();
    await shown;
  }
}

async function show({ client, render, stream }: ProgressBarOptions, signal: AbortSignal): Promise<void> {
  const bar = new SingleBar({
    stream,
    format: '{state} [{bar}] {percentage} %  {duration_formatted}',
    barCompleteChar: '█',
    barIncompleteChar: '░',
    clearOnComplete: true,
    hideCursor: true,
    // The command itself hears the interrupt.
    gracefulExit: false,
  });
  try {
    const events = client.events({ signal });
    bar.start(1, render.progress?.fraction ?? 0, { state: render.status });
    for await (const message of events) {
      if (!('render_id' in message) || message.render_id !== render.id) continue;
      if (message.type === 'RenderStarted') bar.update(0, { state: 'running' });
      const progress = renderProgress.safeParse(message);
      if (progress.success) bar.update(progress.data.fraction, { state: 'running' });
    }
  } catch {
    // The bar is a comfort: the render is waited for over HTTP, with or without it.
  } finally {
    bar.stop();
  }
}
