import { describe } from 'vitest';
import type { Journal } from '../../src/render/journal.ts';
import { acceptanceOfJournal } from './journal-conformance/acceptance.ts';
import { callsOfJournal } from './journal-conformance/calls.ts';
import { eventsOfJournal } from './journal-conformance/events.ts';
import { fallbacksOfJournal } from './journal-conformance/fallbacks.ts';
import { forgettingOfJournal } from './journal-conformance/forgetting.ts';
import { leftJobsOfJournal } from './journal-conformance/left-jobs.ts';
import { listsOfJournal } from './journal-conformance/lists.ts';
import { operatorOfJournal } from './journal-conformance/operator.ts';
import { queueOfJournal } from './journal-conformance/queue.ts';
import { racesOfJournal } from './journal-conformance/races.ts';
import { recoveryOfJournal } from './journal-conformance/recovery.ts';
import { retentionOfJournal } from './journal-conformance/retention.ts';
import { sharingOfJournal } from './journal-conformance/sharing.ts';

/** A new and empty journal that ends with its test. */
export interface OpenedJournal {
  readonly journal: Journal;
  /** Closes what is open and opens the same journal again, as after a restart. */
  reopen(): Promise<Journal>;
}

/** Opens a new and empty journal for one test. */
export type OpenJournal = () => Promise<OpenedJournal>;

/** What every journal must do, whatever database is behind it. */
export function journalConformance(name: string, open: OpenJournal): void {
  describe(`the journal ${name}`, () => {
    acceptanceOfJournal(open);
    callsOfJournal(open);
    sharingOfJournal(open);
    queueOfJournal(open);
    fallbacksOfJournal(open);
    operatorOfJournal(open);
    eventsOfJournal(open);
    racesOfJournal(open);
    recoveryOfJournal(open);
    leftJobsOfJournal(open);
    retentionOfJournal(open);
    forgettingOfJournal(open);
    listsOfJournal(open);
  });
}
