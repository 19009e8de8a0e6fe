import { plainPng } from '../generators/png.ts';
import type { Random } from './random.ts';

/** A request that the schedule may send, and another body under the same id or key. */
export interface PlannedRequest {
  /** Its `request_id`, unless it has a key; in any case in its metadata, by which it is found again. */
  readonly id: string;
  /** Its `Idempotency-Key`; then it has no `request_id`. */
  readonly key?: string;
  readonly own: Body;
  readonly other: Body;
  readonly clears: boolean;
}

type Body = Readonly<Record<string, unknown>> & { readonly prompt: string };

/** Which of a request's two bodies. */
export type Variant = 'own' | 'other';

/** One call of the schedule, and when it is made: ms after the server was ready. */
export type Step = { readonly atMs: number } & (
  | { readonly kind: 'submit'; readonly request: PlannedRequest; readonly variant: Variant }
  | { readonly kind: 'cancel' | 'look' | 'wait'; readonly request: PlannedRequest }
  | { readonly kind: 'batch'; readonly requests: readonly PlannedRequest[] }
  | { readonly kind: 'pause' | 'resume' | 'clear' }
);

/** What happens between two starts of the server. */
export interface Round {
  /** Whether the server is killed while it still starts; then there are no steps. */
  readonly killsStart: boolean;
  /** When it is killed: ms after it was ready, or after its process began. */
  readonly killMs: number;
  readonly steps: readonly Step[];
}

/** A small picture for requests that bring one. */
const DEPTH_MAP = `data:image/png;base64,${plainPng([90, 120, 150]).toString('base64')}`;

/** How often a provider's work meets which trouble; see `test/fakes/fal-server-main.ts`. */
const TROUBLES = { none: 14, busy: 1, shaky: 1, down: 2, broken: 1, refused: 1 };

/** How often a step is of each kind. */
const KINDS = {
  ...{ submit: 30, superseding: 2, twin: 8, keyed: 8, batch: 4, repeat: 14, conflict: 8 },
  ...{ cancel: 12, look: 6, wait: 10, pause: 2, clear: 1 },
};

/** The rounds of a seed, one after the other. Equal seeds give equal rounds, whatever the server answers. */
export function createPlan(random: Random): () => Round {
  const requests: PlannedRequest[] = [];
  let paused = false;

  function newRequest(kind: 'submit' | 'superseding' | 'twin' | 'keyed' = 'submit'): PlannedRequest {
    const id = `r${requests.length}`;
    const like = requests[random.below(requests.length)];
    const body = kind === 'twin' && like !== undefined ? like.own : bodyOf(id, random);
    const clears = kind === 'superseding';
    const own = {
      ...{ ...body, metadata: { id }, clear_queue: clears },
      ...(kind === 'keyed' ? {} : { request_id: id }),
    };
    const request = {
      ...{ id, own, clears },
      other: { ...own, prompt: `${own.prompt}, another one` },
      ...(kind === 'keyed' ? { key: `key of ${id}` } : {}),
    };
    requests.push(request);
    return request;
  }

  /** Rather one of the last than one of long ago. */
  function known(): PlannedRequest {
    const back = Math.floor(random.between(0, 1) ** 3 * requests.length);
    return requests[requests.length - 1 - back] ?? newRequest();
  }

  function stepAt(atMs: number): Step {
    const kind = random.weighted(KINDS);
    switch (kind) {
      case 'submit':
      case 'superseding':
      case 'twin':
      case 'keyed':
        return { atMs, kind: 'submit', variant: 'own', request: newRequest(kind) };
      case 'repeat':
        return { atMs, kind: 'submit', variant: 'own', request: known() };
      case 'conflict':
        return { atMs, kind: 'submit', variant: 'other', request: known() };
      case 'batch':
        return { atMs, kind, requests: Array.from({ length: 2 + random.below(4) }, () => newRequest()) };
      case 'pause':
      case 'clear':
        return { atMs, kind };
      default:
        return { atMs, kind, request: known() };
    }
  }

  return () => {
    if (random.chance(0.15)) return { killsStart: true, killMs: random.between(50, 1500), steps: [] };
    const killMs = random.between(20, 900);
    const times = Array.from({ length: 6 + random.below(14) }, () => random.between(0, killMs)).sort((a, b) => a - b);
    // A pause outlives the server; the round after it ends it.
    const resume: Step[] = paused ? [{ atMs: random.between(0, killMs), kind: 'resume' }] : [];
    const steps = [...times.map(stepAt), ...resume].sort((a, b) => a.atMs - b.atMs);
    paused = steps.findLast(({ kind }) => kind === 'pause' || kind === 'resume')?.kind === 'pause';
    return { killsStart: false, killMs, steps };
  };
}

/** A body of its own: the id is in the prompt, by which a provider's log is read. */
function bodyOf(id: string, random: Random): Body {
  const generator = random.pick(['mock', 'mock', 'fal']);
  const trouble = generator === 'fal' ? random.weighted(TROUBLES) : 'none';
  return {
    prompt: `${id}: dunes${trouble === 'none' ? '' : ` (${trouble})`}`,
    generator,
    width: 64 + 8 * random.below(9),
    height: 64 + 8 * random.below(9),
    num_images: random.pick([1, 1, 1, 2, 3]),
    priority: random.below(21) - 10,
    output_format: random.pick(['png', 'png', 'jpeg', 'webp']),
    ...(random.chance(0.3) ? { fallback: false } : {}),
    ...(random.chance(0.1) ? { queue_timeout_s: random.between(0.1, 3) } : {}),
    ...(random.chance(0.05) ? { timeout_s: random.between(0.5, 3) } : {}),
    ...(random.chance(0.7) ? { seed: random.below(1000) } : {}),
    ...(generator === 'mock' && random.chance(0.2) ? { depth_map: { image_data: DEPTH_MAP } } : {}),
  };
}
