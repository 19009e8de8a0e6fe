import type { Child } from './child.ts';
import { startChild } from './child.ts';
import type { Sample, Scenario } from './compare.ts';

/** What the side with the real process reports. */
export interface SdxlReport {
  readonly rendersPerSecond: number;
  /** From the call of `start` to the first work that can be taken. */
  readonly coldStartMs: number;
  /** Of the process that holds the model, at its most. */
  readonly memoryMb: number;
}

/** What the side that counts the library's share reports. */
export interface SdxlBareReport {
  /** If nothing but the library's runs took time. */
  readonly rendersPerSecond: number;
  /** What the pipeline adds to the runs, for each step. */
  readonly overheadMsPerStep: number;
}

/** What the pipeline, the process and the messages add to the runs of the graphs. */
export function sdxlScenario(): Scenario {
  return {
    name: 'sdxl',
    about:
      'whole 1024×1024 renders with the tiny SDXL model in its process, beside the sum of the bare session.run calls of ' +
      'such a render (aim: ratio 0.95, 3 ms a step, loop delay never above 20 ms)',
    ratioOf: 'renders/s',
    async start() {
      const ours = await startChild<SdxlReport>('sdxl-ours');
      const bare = await startChild<SdxlBareReport>('sdxl-bare');
      return {
        ours: () => sample(ours),
        baseline: () => bareSample(bare),
        stop: async () => {
          await ours.stop();
          await bare.stop();
        },
      };
    },
  };
}

async function sample(child: Child<SdxlReport>): Promise<Sample> {
  const { rendersPerSecond, coldStartMs, memoryMb, delayP99Ms, delayMaxMs } = await child.measure();
  return {
    'renders/s': rendersPerSecond,
    'loop delay p99 ms': delayP99Ms,
    'loop delay max ms': delayMaxMs,
    'cold start ms': coldStartMs,
    'memory MB': memoryMb,
  };
}

async function bareSample(child: Child<SdxlBareReport>): Promise<Sample> {
  const { rendersPerSecond, overheadMsPerStep } = await child.measure();
  return { 'renders/s': rendersPerSecond, 'overhead ms a step': overheadMsPerStep };
}
