import { randomUUID } from 'node:crypto';
import { expect } from 'vitest';
import type { PublicError } from '../../src/errors.ts';
import type { Journal } from '../../src/render/journal.ts';
import type {
  Accepted,
  ClaimedWork,
  LoggedEvent,
  NewRender,
  RenderImage,
  RenderRecord,
  Taken,
  WorkResult,
  WorkSpec,
} from '../../src/render/records.ts';

/** 2026-11-22T06:00:00.000Z */
export const AT = Date.UTC(2026, 10, 22, 6);

/** What a test sets of a render; the rest is plain. */
export type RenderChanges = Partial<Omit<NewRender, 'spec'>> & { readonly spec?: Partial<WorkSpec> };

/** A render as the service would hand it in: own ids, generator `draw`, owner `ann`, over REST. */
export function newRender({ spec, ...changes }: RenderChanges = {}): NewRender {
  const id = randomUUID();
  return {
    id,
    requestId: id,
    owner: 'ann',
    door: 'rest',
    bodyHash: 'body',
    request: { prompt: 'a delta' },
    ignored: [],
    generator: 'draw',
    priority: 0,
    timeoutMs: 1000,
    queueTimeoutMs: 600_000,
    queueUntil: AT + 600_000,
    fallback: true,
    useCache: true,
    clearQueue: false,
    createdAt: AT,
    steadyAt: changes.createdAt ?? AT,
    workId: randomUUID(),
    inputs: [],
    ...changes,
    spec: {
      prompt: 'a delta',
      width: 64,
      height: 64,
      seed: 7,
      numImages: 1,
      outputFormat: 'png',
      quality: 90,
      ...spec,
    },
  };
}

/** Hands a render in and expects it to be taken. */
export async function accept(journal: Journal, changes: RenderChanges = {}): Promise<RenderRecord> {
  return accepted(await acceptOne(journal, newRender(changes), 10_000)).render;
}

/** What became of one render: as `Accepted`, without its lists. */
export type AcceptedOne = (Taken & { stoppedWork: readonly string[] }) | Exclude<Accepted, { kind: 'taken' }>;

/** Hands one render in. */
export async function acceptOne(journal: Journal, render: NewRender, maxQueued = 10_000): Promise<AcceptedOne> {
  const outcome = await journal.accept({ renders: [render], maxQueued });
  if (outcome.kind !== 'taken') return outcome;
  const [taken] = outcome.renders;
  if (taken === undefined) throw new Error('the render was neither taken nor refused');
  return { ...taken, stoppedWork: outcome.stoppedWork };
}

/** Narrows an outcome that must be `accepted`. */
export function accepted(outcome: AcceptedOne): Extract<AcceptedOne, { kind: 'accepted' }> {
  if (outcome.kind !== 'accepted') throw new Error(`the render was not accepted but ${outcome.kind}`);
  return outcome;
}

/** `recover`, with what most tests do not care about. */
export function recover(journal: Journal, changes: Partial<Parameters<Journal['recover']>[0]> = {}) {
  return journal.recover({ crashAttempts: 2, generators: ['draw'], at: AT, steadyAt: AT, ...changes });
}

/** Takes work that must be there. */
export async function claim(journal: Journal, generator = 'draw', at = AT): Promise<ClaimedWork> {
  const work = await journal.claim({ generator, at, steadyAt: at });
  if (work === undefined) throw new Error('there was no work');
  return work;
}

/** The render, which must be there. */
export async function find(journal: Journal, id: string, owner = 'ann'): Promise<RenderRecord> {
  const render = await journal.findRender({ id, owner });
  if (render === undefined) throw new Error('there is no such render');
  return render;
}

/** Every event of the journal. */
export function allEvents(journal: Journal): Promise<readonly LoggedEvent[]> {
  return journal.eventsAfter({ since: 0, limit: 1_000_000 });
}

/** Types of a render's events, in order. */
export async function eventTypesOf(journal: Journal, renderId: string): Promise<string[]> {
  const events = await allEvents(journal);
  return events.filter(({ event }) => isAbout(event, renderId)).map(({ event }) => event.type);
}

/** Whether an event tells the end of this render. */
export function ends(event: LoggedEvent['event'], renderId: string): boolean {
  if (!isAbout(event, renderId)) return false;
  if (event.type === 'ImageReady') return event.index === event.of - 1;
  return event.type === 'RenderFailed' || event.type === 'RenderCancelled';
}

function isAbout(event: LoggedEvent['event'], renderId: string): boolean {
  return 'render_id' in event && event.render_id === renderId;
}

/** Images as the runner would have stored them. */
export function images(count = 1): RenderImage[] {
  return Array.from({ length: count }, (_, index) => ({
    imageId: index.toString(16).padStart(64, '0'),
    format: 'png',
    width: 64,
    height: 64,
    bytes: 100 + index,
    seed: 7 + index,
  }));
}

/** A result with `count` images. */
export function succeeded(count = 1): WorkResult {
  return { kind: 'succeeded', images: images(count), renderMs: 20, storeMs: 3 };
}

/** A stored image whose id is this hexadecimal digit, over and over. */
export function imageOf(digit: string, bytes = 100): RenderImage {
  return { imageId: digit.repeat(64), format: 'png', width: 8, height: 8, bytes, seed: 1 };
}

/** A result with these images. */
export function drawn(...digits: string[]): WorkResult {
  return { kind: 'succeeded', images: digits.map((digit) => imageOf(digit)), renderMs: 1, storeMs: 1 };
}

/** How many works wait, by what a request hears for which there is no room. */
export async function queuedWorks(journal: Journal): Promise<number> {
  const outcome = await acceptOne(journal, newRender(), 0);
  if (outcome.kind !== 'full') throw new Error(`there was room in a queue of none: ${outcome.kind}`);
  return outcome.queued;
}

/** Errors as callers see them. */
export const FAILURE: PublicError = { code: 'generator_failed', message: 'no paint', retryable: true };
export const TIMEOUT: PublicError = { code: 'render_timeout', message: 'too long', retryable: true };
export const CANCELLED: PublicError = { code: 'cancelled', message: 'not wanted', retryable: false };

/** Expects a promise to reject with an `AppError` of this code. */
export async function expectCode(promise: Promise<unknown>, code: string): Promise<void> {
  await expect(promise).rejects.toMatchObject({ name: 'AppError', code });
}
