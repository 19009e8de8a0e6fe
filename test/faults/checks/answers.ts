import type { Account } from '../ledger.ts';
import type { Variant } from '../plan.ts';
import type { Check, Evidence } from './check.ts';
import { groupBy, nameOf } from './check.ts';

const accountsOf = ({ ledger }: Evidence): Account[] => [...ledger.accounts.values()];

/** Which body a request_id was accepted with, if it was. */
function acceptedBody({ request, sent }: Account, prompt: string): Variant | undefined {
  return sent.find((variant) => request[variant].prompt === prompt);
}

/** What callers were told, beside what the journal says. */
export const ANSWER_CHECKS: readonly Check[] = [
  {
    name: 'callers get proper answers only',
    violations: ({ ledger }) => ledger.improper,
  },
  {
    name: 'what a caller was told is accepted is in the journal, under the same id',
    violations({ journal, ...evidence }) {
      const renders = new Map(journal.renders.map((render) => [render.id, render]));
      return accountsOf({ journal, ...evidence }).flatMap(({ request, accepted }) =>
        accepted
          .filter(({ renderId }) => renders.get(renderId)?.request.metadata.id !== request.id)
          .map(({ renderId }) => `${request.id} was accepted as ${renderId}, which is not there`),
      );
    },
  },
  {
    name: 'a request_id or a key is one render, whole, with a body that was sent under it',
    violations({ journal, ...evidence }) {
      const byName = groupBy(journal.renders, nameOf);
      const works = new Set(journal.works.map(({ id }) => id));
      return [...byName].flatMap(([name, renders]) => {
        const account = evidence.ledger.accounts.get(name);
        const [render] = renders;
        if (render === undefined || account === undefined) return [`nobody asked for ${name}`];
        if (renders.length > 1) return [`${name} has ${renders.length} renders`];
        if (!works.has(render.work_id)) return [`${name} has no work`];
        return acceptedBody(account, render.request.prompt) === undefined ? [`${name} has a body of its own`] : [];
      });
    },
  },
  {
    name: 'a known id answers for its own body only, and refuses any other',
    violations({ journal, ...evidence }) {
      const renders = new Map(journal.renders.map((render) => [nameOf(render), render]));
      return accountsOf({ journal, ...evidence }).flatMap((account) => {
        const { request, accepted, conflicts } = account;
        const render = renders.get(request.id);
        const body = render && acceptedBody(account, render.request.prompt);
        const wrong = accepted.filter(({ variant }) => variant !== body);
        const refused = conflicts.filter((variant) => variant === body || body === undefined);
        return [
          ...wrong.map(({ variant }) => `${request.id} took the body ${variant} for ${body}`),
          ...refused.map((variant) => `${request.id} refused ${variant} although it has ${body}`),
        ];
      });
    },
  },
  {
    name: 'an end that a caller saw is the end',
    violations({ journal, ...evidence }) {
      const renders = new Map(journal.renders.map((render) => [nameOf(render), render]));
      return accountsOf({ journal, ...evidence }).flatMap(({ request, ends }) => {
        const status = renders.get(request.id)?.status;
        return ends.filter((end) => end !== status).map((end) => `${request.id} was shown ${end} and is ${status}`);
      });
    },
  },
  {
    name: 'a batch is taken whole, or not at all',
    violations({ journal, ledger }) {
      const taken = new Set(journal.renders.map(nameOf));
      const begun = new Set(journal.renders.filter(({ batch_id }) => batch_id !== null).map(nameOf));
      return ledger.batches
        .filter((batch) => batch.some((name) => begun.has(name)) && !batch.every((name) => taken.has(name)))
        .map((batch) => `of ${batch}, only ${batch.filter((name) => taken.has(name))} are there`);
    },
  },
];
