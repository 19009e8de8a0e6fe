import type { GeneratedImage, GenerateHooks, ImageGenerator, RawPixels, Work } from '../../src/generators/generator.ts';

type Progress = { step: number; steps: number };

/** What a test does while a generator works. */
export interface Reactions {
  readonly onProgress?: (progress: Progress) => void;
  readonly wantsPreview?: () => boolean;
  readonly onPreview?: (preview: Progress & { pixels: RawPixels }) => void;
  readonly onRemoteId?: (remoteId: string | undefined) => Promise<void>;
}

/** One call of `generate`, observed. */
export interface Run {
  readonly images: Promise<GeneratedImage[]>;
  readonly signal: AbortSignal;
  readonly progress: Progress[];
  readonly previews: (Progress & { pixels: RawPixels })[];
  /** What it has reported of its job at last: the id, or that a submit leaves. */
  noted: string | undefined;
  /** Job ids that it reported, and costs in USD. */
  readonly remoteIds: string[];
  readonly costs: number[];
  /** Resolves with the first cost. */
  readonly firstCost: Promise<number>;
  /** Whether it said that the provider may go on. */
  detached: boolean;
  /** How often the generator called any hook but `onCost`. */
  hookCalls: number;
}

/** Starts `work`; `stop` aborts it, already before the call when it is aborted then. */
export function startRun(
  generator: ImageGenerator,
  work: Work,
  {
    reactions = {},
    stop = new AbortController(),
    remoteId,
  }: { reactions?: Reactions; stop?: AbortController; remoteId?: string } = {},
): Run {
  const firstCost = Promise.withResolvers<number>();
  const seen = {
    progress: [] as Run['progress'],
    previews: [] as Run['previews'],
    noted: remoteId,
    remoteIds: [] as string[],
    costs: [] as number[],
    firstCost: firstCost.promise,
    detached: false,
    hookCalls: 0,
    signal: stop.signal,
  };
  const hooks: GenerateHooks = {
    signal: stop.signal,
    onProgress(progress) {
      seen.hookCalls += 1;
      seen.progress.push({ step: progress.step, steps: progress.steps });
      reactions.onProgress?.(progress);
    },
    wantsPreview() {
      seen.hookCalls += 1;
      return reactions.wantsPreview?.() ?? false;
    },
    onPreview(preview) {
      seen.hookCalls += 1;
      seen.previews.push(preview);
      reactions.onPreview?.(preview);
    },
    remoteId,
    async onRemoteId(id) {
      seen.hookCalls += 1;
      seen.noted = id;
      if (id !== undefined && !id.startsWith('submitting:')) seen.remoteIds.push(id);
      await reactions.onRemoteId?.(id);
    },
    onDetached() {
      seen.hookCalls += 1;
      seen.detached = true;
    },
    onCost(usd) {
      // Not counted: what detached work has cost may become known after its end.
      seen.costs.push(usd);
      firstCost.resolve(usd);
    },
  };
  const images = generator.generate(work, hooks);
  // Tests look at failures after other awaits; until then they are not unhandled.
  images.catch(() => undefined);
  return Object.assign(seen, { images });
}
