import type { Account } from '../ledger.ts';
import type { Variant } from '../plan.ts';
import type { Check, Evidence } from './check.ts';
import { groupBy } from './check.ts';

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
          .filter(({ renderId }) => renders.get(renderId)?.request_id !== request.id)
          .map(({ renderId }) => `${request.id} was accepted as ${renderId}, which is not there`),
      );
    },
  },
  {
    name: 'a request_id is one render, whole, with a body that was sent under it',
    violations({ journal, ...evidence }) {
      const byRequest = groupBy(journal.renders, ({ request_id }) => request_id);
      const works = new Set(journal.works.map(({ id }) => id));
      return [...byRequest].flatMap(([requestId, renders]) => {
        const account = evidence.ledger.accounts.get(requestId);
        const [render] = renders;
        if (render === undefined || account === undefined) return [`nobody asked for ${requestId}`];
        if (renders.length > 1) return [`${requestId} has ${renders.length} renders`];
        if (!works.has(render.work_id)) return [`${requestId} has no work`];
        return acceptedBody(account, render.request.prompt) === undefined ? [`${requestId} has a body of its own`] : [];
      });
    },
  },
  {
    name: 'a known id answers for its own body only, and refuses any other',
    violations({ journal, ...evidence }) {
      const renders = new Map(journal.renders.map((render) => [render.request_id, render]));
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
      const renders = new Map(journal.renders.map((render) => [render.request_id, render]));
      return accountsOf({ journal, ...evidence }).flatMap(({ request, ends }) => {
        const status = renders.get(request.id)?.status;
        return ends.filter((end) => end !== status).map((end) => `${request.id} was shown ${end} and is ${status}`);
      });
    },
  },
];
