import { AppError } from '../errors.ts';
import type { Clock } from './clock.ts';
import type { Journal } from './journal.ts';

const DAY_MS = 86_400_000;

/** What a generator may still cost today. */
export interface Purse {
  /** Lets one work be submitted; call what it resolves with once its cost is known or it has ended. Throws `spend_limit`. */
  admit(): Promise<() => void>;
}

/** Options of `createPurse`. */
export interface PurseOptions {
  readonly generator: string;
  /** USD a day, UTC; without it, no limit. */
  readonly dailyUsd: number | undefined;
  readonly journal: Pick<Journal, 'spentSince'>;
  readonly clock: Pick<Clock, 'now'>;
}

/**
 * Keeps a generator within its day's budget. What is under way, and what may have been billed although nobody heard of it,
 * counts as much as the last one that cost anything: else whoever cancels all the time would spend without a limit.
 */
export function createPurse({ generator, dailyUsd, journal, clock }: PurseOptions): Purse {
  let open = 0;

  async function refuseBeyond(limitUsd: number): Promise<void> {
    const now = clock.now();
    const today = now - (now % DAY_MS);
    const { usd, unknown, lastUsd } = await journal.spentSince({ generator, since: today });
    const spentUsd = usd + unknown * lastUsd;
    if (spentUsd < limitUsd && spentUsd + open * lastUsd <= limitUsd) return;
    throw new AppError(
      'spend_limit',
      `The generator ${generator} has used up its budget of ${limitUsd} USD for today.`,
      {
        retryAfterMs: today + DAY_MS - now,
      },
    );
  }

  return {
    async admit() {
      open += 1;
      let held = true;
      const release = () => {
        if (held) open -= 1;
        held = false;
      };
      try {
        if (dailyUsd !== undefined) await refuseBeyond(dailyUsd);
        return release;
      } catch (error) {
        release();
        throw error;
      }
    },
  };
}
