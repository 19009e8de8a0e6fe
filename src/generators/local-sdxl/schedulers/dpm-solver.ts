import type { SchedulerConfig, SchedulerSettings } from './config.ts';
import { refuse } from './config.ts';
import type { MultistepSchedule } from './multistep.ts';
import { multistepSchedule, multistepSettings, trainedSigmas } from './multistep.ts';
import type { Scheduler, SchedulerRun } from './scheduler.ts';
import { variancePreserving } from './variance-preserving.ts';

/** Below this many steps the end of the run lowers its order, which is steadier. */
const FEW_STEPS = 15;

/**
 * DPM-Solver++ in its multistep form, 2M by default, and its stochastic variant SDE-DPM-Solver++.
 * Lu and others 2022 (DPM-Solver++), after diffusers' `scheduling_dpmsolver_multistep.py`.
 */
export function createDpmSolver(config: SchedulerConfig, run: SchedulerRun): Scheduler {
  const settings = multistepSettings(config);
  const { algorithm_type: algorithm, solver_order: maxOrder } = settings;
  if (algorithm === 'dpmsolver' || algorithm === 'sde-dpmsolver') {
    refuse(config, 'algorithm_type', `choose ${algorithm}++, which guided sampling needs`);
  }
  const isStochastic = algorithm === 'sde-dpmsolver++';
  const trained = trainedSigmas(settings);
  const { timesteps, sigmas, levelAt } = multistepSchedule(settings, run.steps, trained, {
    lastTimestep: trained.filter((sigma) => -Math.log(sigma) >= settings.lambda_min_clipped).length,
    finalSigma: (_sigmas, trainedMin) => trainedMin,
  });
  const common = variancePreserving(settings, run, timesteps, sigmas, levelAt);

  const buffer = () => new Float32Array(run.size);
  /** Predictions of x0, the newest first: of this step and the two before. */
  let history: [Float32Array, Float32Array, Float32Array] = [buffer(), buffer(), buffer()];
  let known = 0;

  return {
    ...common,
    drawsNoise: () => isStochastic,

    step(index, { sample, modelOutput, noise, out }) {
      const [m1, m2, m0] = history;
      history = [m0, m1, m2];
      common.predictOriginal(index, sample, modelOutput, m0);
      known = Math.min(known + 1, maxOrder);

      const order = Math.min(known, orderAt(settings, index, timesteps.length));
      const w = stepWeights(settings, order, index, levelAt);
      for (let i = 0; i < sample.length; i += 1) {
        out[i] =
          w.ofSample * (sample[i] ?? 0) +
          w.ofFirst * (m0[i] ?? 0) +
          w.ofSecond * (m1[i] ?? 0) +
          w.ofThird * (m2[i] ?? 0) +
          (isStochastic ? w.ofNoise * (noise[i] ?? 0) : 0);
      }
    },
  };
}

/** The highest order that the end of the run allows at `index`. */
function orderAt(settings: SchedulerSettings, index: number, steps: number): number {
  const lowers = settings.lower_order_final && steps < FEW_STEPS;
  const isLast = index === steps - 1;
  if (isLast && (lowers || settings.euler_at_final || settings.final_sigmas_type === 'zero')) return 1;
  return index === steps - 2 && lowers ? 2 : 3;
}

interface StepWeights {
  readonly ofSample: number;
  readonly ofFirst: number;
  readonly ofSecond: number;
  readonly ofThird: number;
  readonly ofNoise: number;
}

/** The update at `index` as one weighted sum of the sample, the last predictions m0, m1, m2 and fresh noise. */
function stepWeights(
  { solver_type, algorithm_type }: SchedulerSettings,
  order: number,
  index: number,
  levelAt: MultistepSchedule['levelAt'],
): StepWeights {
  // From s0 to t; at s1 and s2 the predictions m1 and m2 were made.
  const [t, s0, s1, s2] = [levelAt(index + 1), levelAt(index), levelAt(index - 1), levelAt(index - 2)];
  const isStochastic = algorithm_type === 'sde-dpmsolver++';
  const h = t.lambda - s0.lambda;
  // The stochastic solver moves twice as far and puts back in noise what it went too far.
  const span = isStochastic ? 2 * h : h;
  const left = Math.exp(-span);
  const ofSample = (t.sigma / s0.sigma) * (isStochastic ? Math.exp(-h) : 1);
  const ofNoise = t.sigma * Math.sqrt(1 - Math.exp(-2 * h));
  // Weights of the differences D0 = m0, D1 and D2. The step to no noise is of order 1, so h is finite beyond it.
  const d0 = t.alpha * (1 - left);
  if (order === 1) return { ofSample, ofFirst: d0, ofSecond: 0, ofThird: 0, ofNoise };

  const heun = t.alpha * ((left - 1) / span + 1);
  const r0 = (s0.lambda - s1.lambda) / h;
  if (order === 2) {
    const d1 = (solver_type === 'heun' ? heun : d0 / 2) / r0;
    return { ofSample, ofFirst: d0 + d1, ofSecond: -d1, ofThird: 0, ofNoise };
  }

  const r1 = (s1.lambda - s2.lambda) / h;
  // The stochastic form has the other sign before the half: so does the reference.
  const half = isStochastic ? -0.5 : 0.5;
  const d2 = t.alpha * (half - (left - 1 + span) / span ** 2);
  // D1 = (1 + k)·(m0−m1)/r0 − k·(m1−m2)/r1 and D2 = ((m0−m1)/r0 − (m1−m2)/r1)/(r0+r1), with k = r0/(r0+r1).
  const newer = (heun * (1 + r0 / (r0 + r1)) + d2 / (r0 + r1)) / r0;
  const older = (heun * (r0 / (r0 + r1)) + d2 / (r0 + r1)) / r1;
  return { ofSample, ofFirst: d0 + newer, ofSecond: -newer - older, ofThird: older, ofNoise };
}
