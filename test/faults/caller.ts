import { z } from 'zod';
import type { Ledger } from './ledger.ts';
import type { Step } from './plan.ts';

/** Statuses that no render leaves again. */
export const FINAL = ['succeeded', 'failed', 'cancelled'];
/** How long a caller waits for any answer, in ms. */
const PATIENCE_MS = 60_000;

const render = z.object({ id: z.string(), request_id: z.string(), status: z.string() });
const cancelled = z.object({ outcome: z.string(), render });
const problem = z.object({ code: z.string() });

/** Makes a step's call and enters what is answered; a server that dies meanwhile answers nothing. */
export async function call(url: string, step: Step, ledger: Ledger): Promise<void> {
  const account = ledger.of(step.request);
  if (step.kind === 'submit') account.sent.push(step.variant);
  const answer = await send(url, step);
  if (answer === undefined) {
    ledger.lost += 1;
    return;
  }
  ledger.answered += 1;
  const { status, body } = answer;
  if (step.kind === 'submit' && status === 409) account.conflicts.push(step.variant);
  else if (status === 200 || status === 202) enter(step, body, ledger);
  else if (!mayRefuse(step, status, body)) {
    ledger.improper.push(`${step.kind} ${step.request.id} was answered ${status} ${JSON.stringify(body)}`);
  }
}

function enter(step: Step, body: unknown, ledger: Ledger): void {
  const account = ledger.of(step.request);
  const { id, request_id, status } = step.kind === 'cancel' ? cancelled.parse(body).render : render.parse(body);
  if (request_id !== step.request.id) ledger.improper.push(`${step.request.id} was answered with ${request_id}`);
  if (step.kind === 'submit') account.accepted.push({ variant: step.variant, renderId: id });
  if (FINAL.includes(status)) account.ends.push(status);
  else if (step.kind === 'cancel') ledger.improper.push(`cancel of ${request_id} left it ${status}`);
}

/** What the schedule asks for in vain: a render that was never accepted. */
function mayRefuse({ kind }: Step, status: number, body: unknown): boolean {
  return kind !== 'submit' && status === 404 && problem.safeParse(body).data?.code === 'render_not_found';
}

async function send(url: string, step: Step): Promise<{ status: number; body: unknown } | undefined> {
  const { request } = step;
  const signal = AbortSignal.timeout(PATIENCE_MS);
  const json = { 'content-type': 'application/json' };
  try {
    const response =
      step.kind === 'submit'
        ? await fetch(`${url}/v1/renders`, {
            method: 'POST',
            headers: json,
            body: JSON.stringify(request[step.variant]),
            signal,
          })
        : step.kind === 'cancel'
          ? await fetch(`${url}/v1/renders/${request.id}/cancel`, { method: 'POST', signal })
          : await fetch(`${url}/v1/renders/${request.id}`, {
              headers: step.kind === 'wait' ? { prefer: 'wait=30' } : {},
              signal,
            });
    return { status: response.status, body: await response.json() };
  } catch (error) {
    // Refused or cut off, as the killed server's callers are. Silence is another matter.
    if (error instanceof DOMException && error.name === 'TimeoutError') throw error;
    return undefined;
  }
}
