/** What a provider's job goes through, as progress: providers say where a job stands, not how many steps it has done. */
export const STAGES = ['accepted', 'started', 'finished', 'fetched'] as const;
/** A stage of `STAGES`. */
export type Stage = (typeof STAGES)[number];

/** Reports stages as steps: each once, in order, and none that was passed over left out. */
export function createStages(
  onProgress: (progress: { step: number; steps: number }) => void,
  signal: AbortSignal,
): (stage: Stage) => void {
  let reached = 0;
  return (stage) => {
    const step = STAGES.indexOf(stage) + 1;
    while (reached < step) {
      signal.throwIfAborted();
      reached += 1;
      onProgress({ step: reached, steps: STAGES.length });
    }
    signal.throwIfAborted();
  };
}
