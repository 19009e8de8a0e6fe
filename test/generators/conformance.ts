import { createHash } from 'node:crypto';
import { getEventListeners, once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AppError } from '../../src/errors.ts';
import type { GeneratedImage, ImageGenerator, Work } from '../../src/generators/generator.ts';
import type { OptionalField } from '../../src/messages/fields.ts';
import { createImages } from '../../src/store/convert.ts';
import { ManualClock } from '../manual-clock.ts';
import { png } from './png.ts';
import type { Reactions, Run } from './run.ts';
import { startRun } from './run.ts';
import { inputImage, makeWork } from './work.ts';

/** What the suite needs of a generator. */
export interface ConformanceSubject {
  /** A new generator, not started, whose time comes from `clock`. Work should take it some time. */
  create(clock: ManualClock): Promise<ImageGenerator>;
  /** A side, in pixels, of which it draws a square exactly, and one with a side of the next size; default: its smallest. */
  readonly side?: number;
  /** False when `steps` changes its images but not what it reports: providers do not tell theirs. */
  readonly reportsSteps?: boolean;
  /** Most images of one work that it shows previews of; default: all. */
  readonly previewedImages?: number;
  /** Its own values for optional fields. */
  readonly samples?: Readonly<Partial<Record<OptionalField, Partial<Work>>>>;
}

const MAX_SEED = 2 ** 32 - 1;
const STEPS = 3;

/** What every `ImageGenerator` must do, whatever makes its images. */
export function generatorConformance(name: string, subject: ConformanceSubject): void {
  describe(`${name} is an ImageGenerator that`, () => {
    let clock: ManualClock;
    let generator: ImageGenerator;

    beforeEach(async () => {
      clock = new ManualClock();
      generator = await subject.create(clock);
    });
    afterEach(async () => {
      await clock.run(generator.close());
    });

    async function start(): Promise<void> {
      await clock.run(generator.start());
    }

    /** The work that the tests use: small, and of several images and steps where the generator has them. */
    function smallWork(parts: Partial<Work> = {}): Work {
      const side = subject.side ?? generator.sizes.min;
      const numImages = Math.min(2, generator.capabilities.maxImages);
      const steps = generator.capabilities.fields.has('steps') ? { steps: STEPS } : {};
      return makeWork({ width: side, height: side, numImages, ...steps, ...parts });
    }

    /** The same with no more images than it shows previews of. */
    function watchedWork(): Work {
      const { numImages } = smallWork();
      return smallWork({ numImages: Math.min(numImages, subject.previewedImages ?? numImages) });
    }

    async function draw(parts: Partial<Work> = {}, of = generator): Promise<GeneratedImage[]> {
      return await clock.run(startRun(of, smallWork(parts)).images);
    }

    describe('in its life', () => {
      it('is starting, then ready, then disabled', async () => {
        expect(generator.health().state).toBe('starting');
        await start();
        expect(generator.health().state).toBe('ready');
        await clock.run(generator.close());
        expect(generator.health().state).toBe('disabled');
      });

      it('takes no work after it was closed', async () => {
        await start();
        await clock.run(generator.close());
        const run = startRun(generator, smallWork());
        await expect(run.images).rejects.toMatchObject({ code: 'generator_unavailable' });
        expect(run.hookCalls).toBe(0);
      });

      it('stops what runs when it is closed, and leaves nothing behind', async () => {
        await start();
        const run = await untilFirstProgress(smallWork());
        await clock.run(generator.close());

        await expect(run.images).rejects.toMatchObject({ code: 'generator_unavailable' });
        await expectSilence(run);
      });

      it('can be closed twice, also at the same time, and before it was started, but not started then', async () => {
        await clock.run(Promise.all([generator.close(), generator.close()]));
        await clock.run(generator.close());
        expect(generator.health().state).toBe('disabled');
        await expect(clock.run(generator.start())).rejects.toMatchObject({ code: 'generator_unavailable' });
      });
    });

    describe('when it draws', () => {
      beforeEach(start);

      it('gives every image in order with its own seed', async () => {
        const images = await draw({ seed: 40 });
        expect(images.map(({ seed }) => seed)).toEqual(images.map((_image, index) => 40 + index));
        expect(images).toHaveLength(smallWork().numImages);
      });

      it('lets seeds wrap at 2^32', async () => {
        const images = await draw({ seed: MAX_SEED });
        expect(images.map(({ seed }) => seed)).toEqual([MAX_SEED, 0].slice(0, images.length));
      });

      it('draws as many images as it claims', async () => {
        const { maxImages } = generator.capabilities;
        const images = await draw({ numImages: maxImages });
        expect(images).toHaveLength(maxImages);
      });

      it('gives images of the size that was asked for', async () => {
        const height = subject.side ?? generator.sizes.min;
        const width = height + generator.sizes.multipleOf;
        for (const image of await draw({ width, height })) {
          expect(await sizeOf(image)).toEqual({ width, height });
        }
      });

      it('has a default size within its own limits', () => {
        const { default: size, min, max, multipleOf } = generator.sizes;
        for (const side of [size.width, size.height]) {
          expect(side).toBeGreaterThanOrEqual(min);
          expect(side).toBeLessThanOrEqual(max);
          expect(side % multipleOf).toBe(0);
        }
      });

      it('reports every step once, in order, over all images', async () => {
        const run = startRun(generator, smallWork());
        await clock.run(run.images);
        const steps = run.progress.length;
        expect(steps).toBeGreaterThan(0);
        expect(run.progress).toEqual(Array.from({ length: steps }, (_step, index) => ({ step: index + 1, steps })));
      });

      it('counts the steps that were asked for, if it takes them', async () => {
        const run = startRun(generator, smallWork());
        await clock.run(run.images);
        const { fields } = generator.capabilities;
        if (fields.has('steps') && subject.reportsSteps !== false)
          expect(run.progress).toHaveLength(STEPS * smallWork().numImages);
      });

      it('shows previews only to those who want them', async () => {
        const unwatched = startRun(generator, smallWork());
        await clock.run(unwatched.images);
        expect(unwatched.previews).toHaveLength(0);

        const watched = startRun(generator, watchedWork(), { reactions: { wantsPreview: () => true } });
        await clock.run(watched.images);
        expect(watched.previews.length > 0).toBe(generator.capabilities.previews);
        for (const { step, steps, pixels } of watched.previews) {
          expect(watched.progress).toContainEqual({ step, steps });
          expect(pixels.data).toHaveLength(pixels.width * pixels.height * pixels.channels);
        }
        const order = watched.previews.map(({ step }) => step);
        expect(order).toEqual([...order].sort((a, b) => a - b));
      });

      it('honours every optional field that it claims', async () => {
        for (const field of generator.capabilities.fields) {
          const sample = subject.samples?.[field] ?? FIELD_SAMPLES[field];
          expect(await draw({ numImages: 1, ...sample }), field).toHaveLength(1);
        }
      });

      it('draws the same for the same seed, from a new instance too, if it claims seeds', async () => {
        if (!generator.capabilities.seeds) return;
        const first = contents(await draw({ seed: 11 }));
        expect(contents(await draw({ seed: 11 }))).toEqual(first);

        const other = await subject.create(clock);
        await clock.run(other.start());
        expect(contents(await draw({ seed: 11 }, other))).toEqual(first);
        await clock.run(other.close());
      });

      it('keeps two works at the same time apart', async () => {
        const works = [
          smallWork({ prompt: 'one hill', seed: 1 }),
          smallWork({ workId: 'work-2', prompt: 'two hills', seed: 101 }),
        ];
        const runs = works.map((work) => startRun(generator, work));
        const together = await clock.run(Promise.all(runs.map(({ images }) => images)));

        for (const [index, work] of works.entries()) {
          const images = together[index];
          expect(images?.map(({ seed }) => seed)).toEqual(images?.map((_image, i) => work.seed + i));
          const steps = runs[index]?.progress.map(({ step }) => step);
          expect(steps).toEqual(steps?.map((_step, i) => i + 1));
          if (generator.capabilities.seeds) expect(contents(images ?? [])).toEqual(contents(await draw(work)));
        }
      });

      it('goes on with one work when another is stopped', async () => {
        const stop = new AbortController();
        const kept = startRun(generator, smallWork({ seed: 1 }));
        const stopped = startRun(generator, smallWork({ workId: 'work-2', seed: 2 }), { stop });
        stop.abort(new Error('nobody waits'));
        await clock.run(Promise.allSettled([kept.images, stopped.images]));
        await expect(stopped.images).rejects.toThrow('nobody waits');
        await expect(kept.images).resolves.toHaveLength(smallWork().numImages);
      });

      it('leaves no timers and no listeners when it is done', async () => {
        const run = startRun(generator, smallWork());
        await clock.run(run.images);
        await expectSilence(run);
      });
    });

    describe('when it is stopped', () => {
      const reason = new AppError('superseded', 'A newer request took its place.');
      beforeEach(start);

      it('does nothing when the signal was aborted before', async () => {
        const stop = new AbortController();
        stop.abort(reason);
        const run = startRun(generator, smallWork(), { stop });
        await expect(run.images).rejects.toBe(reason);
        expect(run.hookCalls).toBe(0);
      });

      it('rejects with the reason right after the call', async () => {
        const stop = new AbortController();
        const run = startRun(generator, smallWork(), { stop });
        stop.abort(reason);
        await expect(run.images).rejects.toBe(reason);
        await expectSilence(run);
      });

      it('rejects with the reason at every step but the last, between images too', async () => {
        const whole = startRun(generator, smallWork());
        await clock.run(whole.images);
        for (const { step: last } of whole.progress.slice(0, -1)) {
          const stop = new AbortController();
          const run = await expectStopped(stop, { onProgress: ({ step }) => step === last && stop.abort(reason) });
          expect(run.progress.map(({ step }) => step)).toEqual(whole.progress.slice(0, last).map(({ step }) => step));
          expect(run.previews.filter(({ step }) => step >= last)).toHaveLength(0);
        }
      });

      it('rejects with the reason between two steps', async () => {
        const stop = new AbortController();
        const run = await untilFirstProgress(smallWork(), stop);
        stop.abort(reason);
        await expect(run.images).rejects.toBe(reason);
        await expectSilence(run);
      });

      it('rejects with the reason while it makes a preview, and when it shows one', async () => {
        if (!generator.capabilities.previews) return;
        const asked = new AbortController();
        const wantsPreview = (): boolean => {
          queueMicrotask(() => asked.abort(reason));
          return true;
        };
        const run = await expectStopped(asked, { wantsPreview }, watchedWork());
        expect(run.previews).toHaveLength(0);

        const shown = new AbortController();
        const onPreview = () => shown.abort(reason);
        await expectStopped(shown, { wantsPreview: () => true, onPreview }, watchedWork());
      });

      /** Runs until `reactions` abort; from then on the rejection must come without the passing of time. */
      async function expectStopped(stop: AbortController, reactions: Reactions, work = smallWork()): Promise<Run> {
        const run = startRun(generator, work, { stop, reactions: { wantsPreview: () => true, ...reactions } });
        await clock.run(Promise.race([once(stop.signal, 'abort'), run.images]));
        await expect(run.images).rejects.toBe(reason);
        await expectSilence(run);
        return run;
      }
    });

    async function untilFirstProgress(work: Work, stop = new AbortController()): Promise<Run> {
      const reached = Promise.withResolvers<void>();
      const run = startRun(generator, work, { stop, reactions: { onProgress: () => reached.resolve() } });
      await clock.run(Promise.race([reached.promise, run.images]));
      return run;
    }

    /** After its end, a run calls nobody, waits for nothing and hangs on nothing, however long it is observed. */
    async function expectSilence(run: Run): Promise<void> {
      const { hookCalls } = run;
      expect(clock.pending).toBe(0);
      await clock.advance(3_600_000);
      expect(run.hookCalls).toBe(hookCalls);
      expect(getEventListeners(run.signal, 'abort')).toEqual([]);
    }
  });
}

const images = createImages({ maxPixels: 4096 * 4096, maxBytes: 64 * 2 ** 20 });

async function sizeOf(image: GeneratedImage): Promise<{ width: number; height: number }> {
  const { width, height } = image.kind === 'raw' ? image.pixels : await images.inspect(image.bytes);
  if (image.kind === 'raw') expect(image.pixels.data).toHaveLength(width * height * image.pixels.channels);
  return { width, height };
}

/** What tells images apart, short enough for a failure's message. */
function contents(all: readonly GeneratedImage[]): string[] {
  return all.map((image) => {
    const bytes = image.kind === 'raw' ? image.pixels.data : image.bytes;
    return `${image.seed} ${createHash('sha256').update(bytes).digest('hex')}`;
  });
}

const slope = inputImage(png({ width: 80, height: 48 }, (x, y) => [x * 3, x * 3, y * 5]));

/** A value for each optional field, with what it makes no sense without. */
const FIELD_SAMPLES: Readonly<Record<OptionalField, Partial<Work>>> = {
  negative_prompt: { negativePrompt: 'people, text' },
  steps: { steps: 2 },
  guidance_scale: { guidanceScale: 5.5 },
  strength: { strength: 0.3, referenceImage: slope },
  style: { style: 'photographic' },
  loras: { loras: [{ path: 'drone', scale: 0.8 }] },
  reference_image: { referenceImage: slope },
  depth_map: { depthMap: slope },
  mask: { mask: slope, referenceImage: slope },
};
