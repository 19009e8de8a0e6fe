import type { SchedulerConfig, SchedulerSettings } from './config.ts';
import { refuse } from './config.ts';
import type { MultistepSchedule, SnrLevel } from './multistep.ts';
import { multistepSchedule, multistepSettings, trainedSigmas } from './multistep.ts';
import type { Scheduler, SchedulerRun } from './scheduler.ts';
import { variancePreserving } from './variance-preserving.ts';

/**
 * UniPC: each step first corrects the latents with the prediction that they led to, then predicts the next ones.
 * Zhao and others 2023, in its data-prediction form, after diffusers' `scheduling_unipc_multistep.py`.
 */
export function createUniPc(config: SchedulerConfig, run: SchedulerRun): Scheduler {
  const settings = multistepSettings(config);
  if (!settings.predict_x0) refuse(config, 'predict_x0', 'it must be true');
  const maxOrder = settings.solver_order;
  const trained = trainedSigmas(settings);
  const { timesteps, sigmas, levelAt } = multistepSchedule(settings, run.steps, trained, {
    lastTimestep: settings.num_train_timesteps,
    finalSigma: (spaced, trainedMin) =>
      settings.use_karras_sigmas || settings.use_exponential_sigmas ? (spaced.at(-1) ?? 0) : trainedMin,
  });
  const common = variancePreserving(settings, run, timesteps, sigmas, levelAt);

  const buffer = () => new Float32Array(run.size);
  /** Predictions of x0, the newest first: of this step and the three before. */
  let history: Predictions = [buffer(), buffer(), buffer(), buffer()];
  /** The corrected latents that the last prediction started from. */
  const start = buffer();
  let known = 0;
  let lastOrder = 0;

  return {
    ...common,
    drawsNoise: () => false,

    step(index, { sample, modelOutput, out }) {
      const [m1, m2, m3, newest] = history;
      history = [newest, m1, m2, m3];
      common.predictOriginal(index, sample, modelOutput, newest);

      const corrects = known > 0 && !settings.disable_corrector.includes(index - 1);
      if (corrects) {
        const weights = correctorWeights(settings, lastOrder, index, levelAt);
        combine(weights.ofSample, start, weights.ofHistory, history, start);
      } else {
        start.set(sample);
      }

      const left = settings.lower_order_final ? timesteps.length - index : maxOrder;
      // The way to no noise is endless in λ, and only the first order has a limit there.
      const order = levelAt(index + 1).sigma === 0 ? 1 : Math.min(maxOrder, left, known + 1);
      const weights = predictorWeights(settings, order, index, levelAt);
      combine(weights.ofSample, start, weights.ofHistory, history, out);
      known = Math.min(known + 1, maxOrder);
      lastOrder = order;
    },
  };
}

type Predictions = [Float32Array, Float32Array, Float32Array, Float32Array];

/** A weighted sum of latents and of predictions, the newest first. */
interface HistoryWeights {
  readonly ofSample: number;
  readonly ofHistory: readonly number[];
}

type LevelAt = MultistepSchedule['levelAt'];

/** From `index` to the next level, out of the predictions at `index` and before. */
function predictorWeights(settings: SchedulerSettings, order: number, index: number, levelAt: LevelAt): HistoryWeights {
  const move = moveBetween(settings, levelAt(index), levelAt(index + 1));
  const ratios = ratiosTo(order, index, move.h, levelAt);
  // Of the system without its last row and column; for order 2 the paper's ½ stands in for the solution.
  const rhos = order === 2 ? [0.5] : solve(ratios, move.sides.slice(0, order - 1));
  const ofHistory = [move.ofNewest, ...rhos.map(() => 0)];
  rhos.forEach((rho, i) => {
    const weight = move.ofDifference * (rho / (ratios[i] ?? 1));
    ofHistory[i + 1] = weight;
    ofHistory[0] = (ofHistory[0] ?? 0) - weight;
  });
  return { ofSample: move.ofSample, ofHistory };
}

/** From the level before `index` to it, out of the prediction at `index` (weight 0) and those before. */
function correctorWeights(settings: SchedulerSettings, order: number, index: number, levelAt: LevelAt): HistoryWeights {
  const move = moveBetween(settings, levelAt(index - 1), levelAt(index));
  const ratios = [...ratiosTo(order, index - 1, move.h, levelAt), 1];
  const rhos = order === 1 ? [0.5] : solve(ratios, move.sides.slice(0, order));
  // Differences are taken from the prediction at the move's start, which stands second in the history.
  const ofHistory = [0, move.ofNewest, ...ratios.slice(1).map(() => 0)];
  rhos.forEach((rho, i) => {
    const weight = move.ofDifference * (rho / (ratios[i] ?? 1));
    const place = i === rhos.length - 1 ? 0 : i + 2;
    ofHistory[place] = weight;
    ofHistory[1] = (ofHistory[1] ?? 0) - weight;
  });
  return { ofSample: move.ofSample, ofHistory };
}

/** How far back the earlier predictions lie, in units of the move: r = (λ of the earlier − λ of the start)/h. */
function ratiosTo(order: number, from: number, h: number, levelAt: LevelAt): number[] {
  return Array.from({ length: order - 1 }, (_, i) => (levelAt(from - 1 - i).lambda - levelAt(from).lambda) / h);
}

/** What predictor and corrector share of a move from level `s` to `t`. */
function moveBetween({ solver_type }: SchedulerSettings, s: SnrLevel, t: SnrLevel) {
  const h = t.lambda - s.lambda;
  const first = Math.expm1(-h);
  // Configs of other solvers may name theirs; the reference then takes bh2, and so the default.
  const scale = solver_type === 'bh1' ? -h : first;
  // The right sides b_k = k!·zφ_{k+1}(z)/B of the paper's system for z = −h, by φ_{k+1}(z) = (φ_k(z) − 1/k!)/z.
  let zPhi = first / -h - 1;
  let factorial = 1;
  const sides = [1, 2, 3].map((k) => {
    const side = (zPhi * factorial) / scale;
    factorial *= k + 1;
    zPhi = zPhi / -h - 1 / factorial;
    return side;
  });
  return {
    h,
    sides,
    ofSample: t.sigma / s.sigma,
    ofNewest: -t.alpha * first,
    ofDifference: -t.alpha * scale,
  };
}

/** Solves Σ r_j^(k−1)·ρ_j = b_k: as many unknowns as `sides`, by Gaussian elimination. */
function solve(ratios: readonly number[], sides: readonly number[]): number[] {
  const rows = sides.map((side, k) => [...sides.map((_, j) => (ratios[j] ?? 0) ** k), side]);
  rows.forEach((pivot, p) => {
    for (const row of rows) {
      if (row === pivot) continue;
      const factor = (row[p] ?? 0) / (pivot[p] ?? 1);
      row.forEach((value, column) => {
        row[column] = value - factor * (pivot[column] ?? 0);
      });
    }
  });
  return rows.map((row, p) => (row.at(-1) ?? 0) / (row[p] ?? 1));
}

/** `out` may be `sample`. Every sum is whole before it is rounded to float32. */
function combine(
  ofSample: number,
  sample: Float32Array,
  weights: readonly number[],
  [m0, m1, m2, m3]: Predictions,
  out: Float32Array,
): void {
  const [w0 = 0, w1 = 0, w2 = 0, w3 = 0] = weights;
  for (let i = 0; i < sample.length; i += 1) {
    out[i] =
      ofSample * (sample[i] ?? 0) + w0 * (m0[i] ?? 0) + w1 * (m1[i] ?? 0) + w2 * (m2[i] ?? 0) + w3 * (m3[i] ?? 0);
  }
}
