import { plainPng } from '../generators/png.ts';
import type { Random } from './random.ts';

/** A request that the schedule may send, and another body under the same id. */
export interface PlannedRequest {
  readonly id: string;
  readonly own: Readonly<Record<string, unknown>> & { readonly prompt: string };
  readonly other: Readonly<Record<string, unknown>> & { readonly prompt: string };
  readonly clears: boolean;
}

/** Which of a request's two bodies. */
export type Variant = 'own' | 'other';

/** One call of the schedule, and when it is made: ms after the server was ready. */
export type Step = { readonly atMs: number; readonly request: PlannedRequest } & (
  | { readonly kind: 'submit'; readonly variant: Variant }
  | { readonly kind: 'cancel' | 'look' | 'wait' }
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

/** How often a step is of each kind. */
const KINDS = { submit: 40, clear: 2, twin: 8, repeat: 14, conflict: 8, cancel: 12, look: 6, wait: 10 };

/** The rounds of a seed, one after the other. Equal seeds give equal rounds, whatever the server answers. */
export function createPlan(random: Random): () => Round {
  const requests: PlannedRequest[] = [];

  function newRequest(kind: 'submit' | 'clear' | 'twin'): PlannedRequest {
    const id = `r${requests.length}`;
    const like = requests[random.below(requests.length)];
    const own = kind === 'twin' && like !== undefined ? { ...like.own, request_id: id } : bodyOf(id, random);
    const request = {
      id,
      own: kind === 'clear' ? { ...own, clear_queue: true } : own,
      other: { ...own, prompt: `${own.prompt}, another one` },
      clears: kind === 'clear',
    };
    requests.push(request);
    return request;
  }

  /** Rather one of the last than one of long ago. */
  function known(): PlannedRequest {
    const back = Math.floor(random.between(0, 1) ** 3 * requests.length);
    return requests[requests.length - 1 - back] ?? newRequest('submit');
  }

  function stepAt(atMs: number): Step {
    const kind = random.weighted(KINDS);
    if (kind === 'submit' || kind === 'clear' || kind === 'twin') {
      return { atMs, kind: 'submit', variant: 'own', request: newRequest(kind) };
    }
    if (kind === 'repeat') return { atMs, kind: 'submit', variant: 'own', request: known() };
    if (kind === 'conflict') return { atMs, kind: 'submit', variant: 'other', request: known() };
    return { atMs, kind, request: known() };
  }

  return () => {
    if (random.chance(0.15)) return { killsStart: true, killMs: random.between(50, 1500), steps: [] };
    const killMs = random.between(20, 900);
    const times = Array.from({ length: 6 + random.below(14) }, () => random.between(0, killMs)).sort((a, b) => a - b);
    return { killsStart: false, killMs, steps: times.map(stepAt) };
  };
}

/** A request of its own: its id is in the prompt, by which a provider's log is read. */
function bodyOf(id: string, random: Random): PlannedRequest['own'] {
  const generator = random.pick(['mock', 'mock', 'fal']);
  return {
    request_id: id,
    prompt: `${id}: dunes`,
    generator,
    width: 64 + 8 * random.below(9),
    height: 64 + 8 * random.below(9),
    num_images: random.pick([1, 1, 1, 2, 3]),
    priority: random.below(21) - 10,
    output_format: random.pick(['png', 'png', 'jpeg', 'webp']),
    metadata: { id },
    ...(random.chance(0.7) ? { seed: random.below(1000) } : {}),
    ...(generator === 'mock' && random.chance(0.2) ? { depth_map: { image_data: DEPTH_MAP } } : {}),
  };
}
