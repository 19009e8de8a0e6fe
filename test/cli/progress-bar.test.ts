import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { withProgressBar } from '../../src/cli/progress-bar.ts';
import { createClient } from '../../src/client/client.ts';
import { deadAddress } from '../client/scripted-server.ts';
import { sharedServer } from '../client/shared-server.ts';

const server = sharedServer();

/** A terminal that keeps what is drawn on it. */
class Terminal extends Writable {
  readonly isTTY = true;
  readonly columns = 80;
  text = '';
  #watchers = new Set<() => void>();

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk;
    for (const watch of this.#watchers) watch();
    done();
  }

  /** Resolves once this text has been drawn. */
  async drawn(text: string): Promise<void> {
    while (!this.text.includes(text)) {
      await new Promise<void>((resolve) => this.#watchers.add(resolve));
    }
  }
}

describe('the progress bar', () => {
  it('shows how far its own render is, and leaves a clean line', async () => {
    const client = createClient({ server: server.url });
    const stream = new Terminal();
    const render = await client.render({ prompt: 'x', generator: 'stepped' });
    const step = await server.stepped.call(1);
    const bar = withProgressBar({ client, render, stream }, client.wait(render.id));
    await stream.drawn('] 0 %');
    // Another render's events must not move it.
    await client.render({ prompt: 'y', width: 64, height: 64 }, { waitMs: 60_000 });
    // Sent again and again, since the bar hears nothing before it is connected.
    await expect
      .poll(() => {
        step.hooks.onProgress({ step: 1, steps: 4 });
        return stream.text;
      })
      .toContain('] 25 %');
    step.finish();
    expect((await bar).status).toBe('succeeded');
    expect(stream.text).toContain('running [');
    expect(stream.text.endsWith('\u001b[0G\u001b[2K') || stream.text.endsWith('\u001b[1G\u001b[2K')).toBe(true);
  });

  it('is left out when there is no event stream', async () => {
    const stream = new Terminal();
    const client = createClient({ server: await deadAddress() });
    const render = await createClient({ server: server.url }).render({ prompt: 'x', width: 64, height: 64 });
    const waiting = new Promise<string>((resolve) => setTimeout(() => resolve('done'), 50));
    expect(await withProgressBar({ client, render, stream }, waiting)).toBe('done');
  });
});
