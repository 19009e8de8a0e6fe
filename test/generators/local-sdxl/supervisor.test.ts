import { describe, expect, it } from 'vitest';
import type { ModelFolder } from '../../../src/generators/local-sdxl/model/model-folder.ts';
import type { ChildListener } from '../../../src/generators/local-sdxl/process/child-link.ts';
import type { FromChild, RenderJob, ToChild } from '../../../src/generators/local-sdxl/process/protocol.ts';
import type { RenderHooks } from '../../../src/generators/local-sdxl/process/rendering.ts';
import { createModelProcess } from '../../../src/generators/local-sdxl/process/supervisor.ts';
import { ManualClock } from '../../manual-clock.ts';

const STOP_MS = 5000;

/** A child that does what the test says. */
class ScriptedChild {
  readonly heard: ToChild[] = [];
  readonly #listener: ChildListener;
  alive = true;

  constructor(listener: ChildListener) {
    this.#listener = listener;
  }

  say(message: FromChild): void {
    if (this.alive) this.#listener.onMessage(message);
  }

  /** Answers the newest load. */
  load(notes: readonly string[] = []): void {
    this.say({ kind: 'loaded', id: this.#lastId('load'), facts: { controlNet: true, imageToImage: true, notes } });
  }

  refuse(why: 'broken' | 'failed', message: string): void {
    this.say({ kind: 'not-loaded', id: this.#lastId('load'), why, message, detail: 'the words of the library' });
  }

  progress(step: number): void {
    this.say({ kind: 'progress', id: this.renderId, step, steps: 4, stepMs: 10 });
  }

  preview(step: number): void {
    const { renderId: id } = this;
    this.say({ kind: 'preview', id, step, steps: 4, width: 1, height: 1, data: Uint8Array.of(1, 2, 3) });
  }

  finish(): void {
    this.say({ kind: 'chunk', id: this.renderId, index: 0, offset: 0, data: new Uint8Array(2 * 2 * 3).fill(9) });
    this.say({ kind: 'done', id: this.renderId });
  }

  die(how: string): void {
    this.alive = false;
    this.#listener.onExit(how);
  }

  get renderId(): number {
    return this.#lastId('render');
  }

  kinds(): string[] {
    return this.heard.map(({ kind }) => kind);
  }

  #lastId(kind: 'load' | 'render'): number {
    const message = this.heard.findLast((one) => one.kind === kind);
    if (message === undefined) throw new Error(`nothing of kind ${kind} was heard`);
    return message.id;
  }
}

function supervise(refusals = 0) {
  const clock = new ManualClock();
  const children: ScriptedChild[] = [];
  const states: string[] = [];
  const crashes: string[] = [];
  let attempts = 0;
  const supervised = createModelProcess({
    startChild(listener) {
      attempts += 1;
      if (attempts <= refusals) throw new Error('spawn ENOMEM');
      const child = new ScriptedChild(listener);
      children.push(child);
      return {
        async send(message) {
          child.heard.push(message);
        },
        async kill() {
          if (child.alive) child.die('SIGKILL');
        },
      };
    },
    clock,
    stopMs: STOP_MS,
    load: { device: 'cpu', deviceId: 0, fallback: false, threads: 1, lowMemory: false },
    onHealth: () => states.push(supervised.health().state),
    onCrash: (how) => crashes.push(how),
  });
  const child = (): ScriptedChild => {
    const newest = children.at(-1);
    if (newest === undefined) throw new Error('no child was started');
    return newest;
  };
  return { supervised, clock, children, child, states, crashes };
}

function folder(origin: string): ModelFolder {
  const places = { index: '', scheduler: '', tokenizer: '', tokenizer_2: '' };
  return {
    places: {
      ...places,
      text_encoder: '',
      text_encoder_2: '',
      unet: '',
      vae_decoder: '',
      vae_encoder: '',
      controlnet: '',
    },
    graphs: {},
    scheduler: { _class_name: 'EulerDiscreteScheduler' },
    forceZeros: true,
    origin,
    takesGuidance: false,
    multipleOf: 32,
    nativeSide: 64,
    latents: { factor: 8, scaling: 0.13025, mean: undefined, std: undefined },
  };
}

const model = folder('a');
const job: RenderJob = {
  prompt: 'a',
  prompt2: undefined,
  negativePrompt: undefined,
  negativePrompt2: undefined,
  width: 2,
  height: 2,
  steps: 4,
  guidanceScale: 5,
  guidanceRescale: 0,
  clipSkip: 0,
  strength: 0.5,
  eta: 0,
  scheduler: { _class_name: 'EulerDiscreteScheduler' },
  seeds: [1],
  control: { scale: 1, start: 0, end: 1 },
  originalSize: undefined,
  targetSize: undefined,
  crop: [0, 0],
};
const nothing = { reference: undefined, depth: undefined };

function watch(wantsPreview = false) {
  const stop = new AbortController();
  const seen = { steps: [] as number[], previews: [] as number[], stop, wanted: wantsPreview };
  const hooks: RenderHooks = {
    signal: stop.signal,
    onProgress: ({ step }) => seen.steps.push(step),
    wantsPreview: () => seen.wanted,
    onPreview: ({ step }) => seen.previews.push(step),
  };
  return Object.assign(seen, { hooks });
}

async function ready() {
  const parts = supervise();
  const loaded = parts.supervised.load(model);
  parts.child().load();
  await loaded;
  return parts;
}

describe('the process of the model', () => {
  it('starts with the first model and says how far loading is', async () => {
    const { supervised, children, child, states } = supervise();
    expect(children).toHaveLength(0);
    const loaded = supervised.load(model);
    child().say({ kind: 'loading', id: 1, graph: 'unet', index: 3, of: 5 });
    expect(supervised.health()).toEqual({ state: 'starting', reason: 'Loading unet, 4 of 5.' });
    child().load();
    await expect(loaded).resolves.toMatchObject({ controlNet: true });
    expect(supervised.health()).toEqual({ state: 'ready' });
    expect(states.at(-1)).toBe('ready');
  });

  it('is degraded when the model is worse than it could be', async () => {
    const { supervised, child } = supervise();
    const loaded = supervised.load(model);
    child().load(['The CPU renders.']);
    await loaded;
    expect(supervised.health()).toEqual({ state: 'degraded', reason: 'The CPU renders.' });
  });

  it('gives up a model that can never be loaded', async () => {
    const { supervised, child, crashes } = supervise();
    const loaded = supervised.load(model);
    child().refuse('broken', 'unet/model.onnx is damaged');
    await expect(loaded).rejects.toMatchObject({ code: 'config_invalid', message: 'unet/model.onnx is damaged' });
    expect(supervised.health()).toEqual({ state: 'disabled', reason: 'unet/model.onnx is damaged' });
    expect(crashes).toEqual([]);
  });

  it('goes back to its first model when a later one is broken', async () => {
    const { supervised, child } = await ready();
    const other = supervised.load(folder('b'));
    child().refuse('broken', 'the style is damaged');
    await expect(other).rejects.toMatchObject({ code: 'config_invalid', message: 'the style is damaged' });
    expect(child().kinds()).toEqual(['load', 'load', 'load']);
    child().load();
    await expect(supervised.load(model)).resolves.toBeDefined();
    expect(supervised.health().state).toBe('ready');
  });

  it('tries to load again, later each time, while there is no memory', async () => {
    const { supervised, clock, children, child, crashes } = supervise();
    const loaded = supervised.load(model);
    for (const waitMs of [1000, 2000, 4000]) {
      child().refuse('failed', 'There is too little memory.');
      const reason = `There is too little memory. It is started again in ${waitMs / 1000} s.`;
      expect(supervised.health()).toEqual({ state: 'starting', reason });
      const before = children.length;
      await clock.advance(waitMs - 1);
      expect(children).toHaveLength(before);
      await clock.advance(1);
      expect(children).toHaveLength(before + 1);
    }
    child().load();
    await loaded;
    expect(crashes).toHaveLength(3);
    expect(supervised.health().state).toBe('degraded');
  });

  it('tries again when the system starts no process', async () => {
    const { supervised, clock, child, crashes } = supervise(1);
    const loaded = supervised.load(model);
    expect(supervised.health()).toMatchObject({
      state: 'starting',
      reason: 'The process of the model could not be started. It is started again in 1 s.',
    });
    await clock.advance(1000);
    child().load();
    await loaded;
    expect(crashes).toEqual(['Error: spawn ENOMEM']);
  });

  it('waits a minute at most', async () => {
    const { supervised, clock, child, children } = supervise();
    const loaded = supervised.load(model);
    for (let crash = 0; crash < 12; crash += 1) {
      child().die('SIGSEGV');
      await clock.advance(60_000);
    }
    expect(children).toHaveLength(13);
    child().load();
    await loaded;
  });

  it('switches models on demand and ignores what an earlier load still says', async () => {
    const { supervised, child, children } = await ready();
    const other = supervised.load(folder('b'));
    const [first] = child().heard;
    if (first?.kind !== 'load') throw new Error('the first message loads');
    child().say({ kind: 'loaded', id: first.id, facts: { controlNet: false, imageToImage: false, notes: [] } });
    child().load();
    await expect(other).resolves.toMatchObject({ controlNet: true });
    expect(children).toHaveLength(1);
  });
});

describe('a render in the process', () => {
  it('gives the pixels, with its steps in order', async () => {
    const { supervised, child } = await ready();
    const seen = watch();
    const images = supervised.render(job, nothing, seen.hooks);
    for (const step of [1, 2, 3, 4]) child().progress(step);
    child().finish();
    const [image] = await images;
    expect(image).toMatchObject({ width: 2, height: 2, channels: 3 });
    expect([...(image?.data ?? [])]).toEqual(Array(12).fill(9));
    expect(seen.steps).toEqual([1, 2, 3, 4]);
  });

  it('sends input images in pieces, the reference image before the depth map', async () => {
    const { supervised, child } = await ready();
    const large = { data: new Uint8Array(600 * 600 * 3).fill(1), width: 600, height: 600, channels: 3 } as const;
    const small = { data: new Uint8Array(12).fill(2), width: 2, height: 2, channels: 3 } as const;
    const images = supervised.render(job, { reference: large, depth: small }, watch().hooks);
    await new Promise<void>((resolve) => setImmediate(resolve));
    const chunks = child().heard.filter((message) => message.kind === 'chunk');
    expect(chunks.map(({ index, offset }) => [index, offset])).toEqual([
      [0, 0],
      [0, 524_288],
      [0, 1_048_576],
      [1, 0],
    ]);
    expect(chunks.reduce((sum, { data }) => sum + data.length, 0)).toBe(large.data.length + small.data.length);
    child().finish();
    await images;
  });

  it('fails when not all of its pixels have come', async () => {
    const { supervised, child } = await ready();
    const images = supervised.render(job, nothing, watch().hooks);
    child().say({ kind: 'done', id: child().renderId });
    await expect(images).rejects.toThrow('not all pixels of an image came');
  });

  it('has previews made only while somebody looks', async () => {
    const { supervised, child } = await ready();
    const seen = watch();
    const images = supervised.render(job, nothing, seen.hooks);
    child().progress(1);
    seen.wanted = true;
    child().progress(2);
    child().preview(2);
    child().progress(3);
    seen.wanted = false;
    child().preview(3);
    child().progress(4);
    child().finish();
    await images;
    expect(seen.previews).toEqual([2]);
    const told = child().heard.filter((message) => message.kind === 'previews');
    expect(told.map(({ wanted }) => wanted)).toEqual([true, false]);
  });

  it('fails as crashed when the process dies, which is started again', async () => {
    const { supervised, clock, child, children, crashes } = await ready();
    const images = supervised.render(job, nothing, watch().hooks);
    child().progress(1);
    child().die('SIGKILL');
    await expect(images).rejects.toMatchObject({ code: 'generator_crashed', retryable: true });
    expect(crashes).toEqual(['SIGKILL']);
    expect(supervised.health().state).toBe('starting');
    const again = supervised.load(model);

    await clock.advance(1000);
    expect(children).toHaveLength(2);
    child().load();
    await again;
    expect(supervised.health().state).toBe('degraded');
    const next = supervised.render(job, nothing, watch().hooks);
    child().finish();
    await next;
    expect(supervised.health()).toEqual({ state: 'ready' });
  });

  it('fails as crashed when there is no memory, and the process is replaced', async () => {
    const { supervised, clock, child, children } = await ready();
    const images = supervised.render(job, nothing, watch().hooks);
    const { renderId: id } = child();
    child().say({ kind: 'failed', id, why: 'fatal', message: 'There is too little memory.', detail: 'bad_alloc' });
    await expect(images).rejects.toMatchObject({ code: 'generator_crashed', message: 'There is too little memory.' });
    expect(children[0]?.alive).toBe(false);
    await clock.advance(1000);
    expect(children).toHaveLength(2);
  });

  it.each([
    ['request', 'invalid_request', false],
    ['output', 'generator_failed', false],
    ['error', 'generator_failed', true],
  ] as const)('fails for a reason of kind %s as %s', async (why, code, retryable) => {
    const { supervised, child } = await ready();
    const images = supervised.render(job, nothing, watch().hooks);
    child().say({ kind: 'failed', id: child().renderId, why, message: 'It did not work.', detail: '/secret' });
    await expect(images).rejects.toMatchObject({ code, retryable, message: 'It did not work.' });
  });

  it('is told to stop, and ends when it has', async () => {
    const { supervised, clock, child, children } = await ready();
    const seen = watch();
    const images = supervised.render(job, nothing, seen.hooks);
    child().progress(1);
    seen.stop.abort(new Error('nobody waits'));
    child().progress(2);
    child().preview(2);
    expect(child().kinds()).toEqual(['load', 'render', 'cancel']);
    child().say({ kind: 'stopped', id: child().renderId });
    await expect(images).rejects.toThrow('nobody waits');
    expect(seen.steps).toEqual([1]);
    expect(clock.pending).toBe(0);
    expect(children).toHaveLength(1);
    expect(supervised.health().state).toBe('ready');
  });

  it('is ended with its process when it does not stop in time; a new one starts at once', async () => {
    const { supervised, clock, child, children, crashes } = await ready();
    const seen = watch();
    const images = supervised.render(job, nothing, seen.hooks);
    images.catch(() => undefined);
    seen.stop.abort(new Error('nobody waits'));
    await clock.advance(STOP_MS - 1);
    expect(children[0]?.alive).toBe(true);
    await clock.advance(1);
    await expect(images).rejects.toThrow('nobody waits');
    expect(children).toHaveLength(2);
    expect(crashes).toEqual([]);
    child().load();
    expect(supervised.health()).toEqual({ state: 'ready' });
  });

  it('ends with the process when that is closed; nothing is started again', async () => {
    const { supervised, clock, children } = await ready();
    const seen = watch();
    const images = supervised.render(job, nothing, seen.hooks);
    images.catch(() => undefined);
    seen.stop.abort(new Error('closed'));
    await supervised.close();
    await expect(images).rejects.toThrow('closed');
    await clock.advance(3_600_000);
    expect(children).toHaveLength(1);
    await expect(supervised.load(model)).rejects.toMatchObject({ code: 'generator_unavailable' });
    await expect(supervised.render(job, nothing, watch().hooks)).rejects.toMatchObject({
      code: 'generator_unavailable',
    });
  });
});
