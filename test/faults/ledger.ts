import type { PlannedRequest, Variant } from './plan.ts';

/** An answer to a submit that names a render. */
export interface Acceptance {
  readonly variant: Variant;
  readonly renderId: string;
}

/** Everything that callers heard about one `request_id`. */
export interface Account {
  readonly request: PlannedRequest;
  readonly sent: Variant[];
  readonly accepted: Acceptance[];
  /** Bodies that were answered with a conflict. */
  readonly conflicts: Variant[];
  /** Final statuses that any answer showed. */
  readonly ends: string[];
}

/** What the callers of all rounds know. */
export interface Ledger {
  /** The ids of requests that were sent together. */
  readonly batches: string[][];
  readonly accounts: ReadonlyMap<string, Account>;
  of(request: PlannedRequest): Account;
  /** Answers that no caller may ever get: a sentence each. */
  readonly improper: string[];
  /** Calls whose answer was lost with the server. */
  lost: number;
  answered: number;
}

/** An empty ledger. */
export function createLedger(): Ledger {
  const accounts = new Map<string, Account>();
  return {
    accounts,
    of(request) {
      const known = accounts.get(request.id);
      if (known !== undefined) return known;
      const account: Account = { request, sent: [], accepted: [], conflicts: [], ends: [] };
      accounts.set(request.id, account);
      return account;
    },
    batches: [],
    improper: [],
    lost: 0,
    answered: 0,
  };
}
