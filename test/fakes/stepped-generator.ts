import { setImmediate } from 'node:timers/promises';
import type {
  GeneratedImage,
  GenerateHooks,
  GeneratorHealth,
  ImageGenerator,
  Work,
} from '../../src/generators/generator.ts';
import type { OptionalField } from '../../src/messages/fields.ts';

/** One call of `generate` that the test decides about. */
export interface Step {
  readonly work: Work;
  readonly hooks: GenerateHooks;
  /** Ends it with one small image for each that was asked for, or with these. */
  finish(images?: GeneratedImage[]): void;
  fail(error: unknown): void;
}

/** A generator that does nothing until the test says so. */
export class SteppedGenerator implements ImageGenerator {
  readonly name: string;
  readonly capabilities = {
    fields: new Set<OptionalField>(['negative_prompt', 'depth_map']),
    seeds: true,
    maxImages: 10,
    previews: false,
  };
  readonly sizes = { default: { width: 64, height: 64 }, min: 64, max: 4096, multipleOf: 8 };
  /** When false, an abort changes nothing until the test ends the call: remote work is like that. */
  stopsOnAbort = true;
  readonly calls: Step[] = [];
  #watchers: (() => void)[] = [];
  #closed = false;

  constructor(name = 'stepped') {
    this.name = name;
  }

  async start(): Promise<void> {
    await setImmediate();
  }

  generate(work: Work, hooks: GenerateHooks): Promise<GeneratedImage[]> {
    const { promise, resolve, reject } = Promise.withResolvers<GeneratedImage[]>();
    hooks.signal.addEventListener('abort', () => {
      if (this.stopsOnAbort) reject(hooks.signal.reason);
    });
    if (this.#closed) reject(new Error('closed'));
    this.calls.push({ work, hooks, finish: (images = imagesFor(work)) => resolve(images), fail: reject });
    for (const watch of this.#watchers.splice(0)) watch();
    return promise;
  }

  /** Resolves with the call of this number (from 1) once it has been made. */
  async call(number: number): Promise<Step> {
    for (;;) {
      const step = this.calls[number - 1];
      if (step !== undefined) return step;
      await new Promise<void>((resolve) => this.#watchers.push(resolve));
    }
  }

  health(): GeneratorHealth {
    return { state: 'ready' };
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const { fail } of this.calls) fail(new Error('closed'));
  }
}

function imagesFor({ width, height, seed, numImages }: Work): GeneratedImage[] {
  return Array.from({ length: numImages }, (_, index) => {
    const data = new Uint8Array(width * height * 3).fill((seed + index) % 256);
    return { seed: seed + index, kind: 'raw', pixels: { data, width, height, channels: 3 } };
  });
}
