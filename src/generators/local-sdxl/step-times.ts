/** How much the newest step counts in the mean: the first ones are slower than the rest. */
const NEWEST = 0.5;

/** Guesses from the steps that were measured. */
export interface StepTimes {
  /** Notes how long a step took; gives the ms that `left` more of them will take. */
  remainingMs(stepMs: number, left: number): number;
}

/** Starts anew for each work: sizes and guidance change how long a step takes. */
export function createStepTimes(): StepTimes {
  let mean: number | undefined;
  return {
    remainingMs(stepMs, left) {
      mean = mean === undefined ? stepMs : mean + NEWEST * (stepMs - mean);
      return Math.round(mean * left);
    },
  };
}
