import { z } from 'zod';
import type { Ledger } from './ledger.ts';
import type { PlannedRequest, Step, Variant } from './plan.ts';

/** Statuses that no render leaves again. */
export const FINAL = ['succeeded', 'failed', 'cancelled'];
/** How long a caller waits for any answer, in ms. */
const PATIENCE_MS = 60_000;

const render = z.object({ id: z.string(), status: z.string(), metadata: z.object({ id: z.string() }) });
const problem = z.object({ code: z.string() });
const answers = {
  render,
  cancelled: z.object({ outcome: z.string(), render }),
  batch: z.object({ renders: z.array(render) }),
};

/**
 * Makes a step's call and enters what is answered; a server that dies meanwhile answers nothing. `refusals` are codes
 * that it may answer with.
 */
export async function call(url: string, step: Step, ledger: Ledger, refusals: readonly string[] = []): Promise<void> {
  const http = httpOf(step, ledger);
  if (http === undefined) return;
  const answer = await send(`${url}${http.path}`, http);
  if (answer === undefined) {
    ledger.lost += 1;
    return;
  }
  ledger.answered += 1;
  if (answer.status === 200 || answer.status === 202) {
    for (const error of enter(step, answer.body, ledger)) ledger.improper.push(error);
    return;
  }
  const code = problem.safeParse(answer.body).data?.code ?? '';
  if (refusals.includes(code) || noteRefusal(step, code, ledger)) return;
  ledger.improper.push(`${step.kind} was answered ${answer.status} ${JSON.stringify(answer.body)}`);
}

interface Http {
  readonly path: string;
  readonly method: 'GET' | 'POST';
  readonly headers?: Record<string, string>;
  readonly body?: unknown;
}

/** The call of a step; none when it is about a render whose id the caller never heard. */
function httpOf(step: Step, ledger: Ledger): Http | undefined {
  switch (step.kind) {
    case 'submit': {
      const { request, variant } = step;
      ledger.of(request).sent.push(variant);
      const headers = request.key === undefined ? {} : { 'idempotency-key': request.key };
      return { path: '/v1/renders', method: 'POST', headers, body: request[variant] };
    }
    case 'batch': {
      for (const request of step.requests) ledger.of(request).sent.push('own');
      ledger.batches.push(step.requests.map(({ id }) => id));
      return { path: '/v1/renders/batch', method: 'POST', body: { requests: step.requests.map(({ own }) => own) } };
    }
    case 'pause':
    case 'resume':
      return { path: `/v1/queue/${step.kind}`, method: 'POST' };
    case 'clear':
      return { path: '/v1/queue/clear', method: 'POST', body: {} };
    default: {
      const { request, kind } = step;
      // A request without an id of its own is known by the server's.
      const id = request.key === undefined ? request.id : ledger.of(request).accepted[0]?.renderId;
      if (id === undefined) return undefined;
      if (kind === 'cancel') return { path: `/v1/renders/${id}/cancel`, method: 'POST' };
      return { path: `/v1/renders/${id}`, method: 'GET', headers: kind === 'wait' ? { prefer: 'wait=30' } : {} };
    }
  }
}

/** Notes what an answer tells; returns what it must not tell. */
function enter(step: Step, body: unknown, ledger: Ledger): string[] {
  switch (step.kind) {
    case 'submit':
      return enterRender(step.request, answers.render.parse(body), ledger, step.variant);
    case 'batch': {
      const { renders } = answers.batch.parse(body);
      if (renders.length !== step.requests.length) return [`a batch was answered with ${renders.length} renders`];
      return renders.flatMap((one, at) => {
        const request = step.requests[at];
        return request === undefined ? [] : enterRender(request, one, ledger, 'own');
      });
    }
    case 'cancel': {
      const { render: left } = answers.cancelled.parse(body);
      const errors = FINAL.includes(left.status) ? [] : [`cancel of ${step.request.id} left it ${left.status}`];
      return [...errors, ...enterRender(step.request, left, ledger)];
    }
    case 'look':
    case 'wait':
      return enterRender(step.request, answers.render.parse(body), ledger);
    default:
      return [];
  }
}

function enterRender(
  request: PlannedRequest,
  { id, status, metadata }: z.infer<typeof render>,
  ledger: Ledger,
  variant?: Variant,
): string[] {
  const account = ledger.of(request);
  if (variant !== undefined) account.accepted.push({ variant, renderId: id });
  if (FINAL.includes(status)) account.ends.push(status);
  return metadata.id === request.id ? [] : [`${request.id} was answered with ${metadata.id}`];
}

/** Refusals that the schedule provokes: whether this is one. */
function noteRefusal(step: Step, code: string, ledger: Ledger): boolean {
  // The provider's troubles open its circuit: then nobody may answer for it.
  if (code === 'generator_unavailable') return step.kind === 'submit' || step.kind === 'batch';
  if (step.kind === 'submit') {
    const conflict = step.request.key === undefined ? 'request_id_conflict' : 'idempotency_key_conflict';
    if (code !== conflict) return false;
    ledger.of(step.request).conflicts.push(step.variant);
    return true;
  }
  // One of a batch may have come alone in the meantime, with another body.
  if (step.kind === 'batch') return code === 'request_id_conflict';
  return code === 'render_not_found';
}

async function send(
  url: string,
  { method, headers, body }: Http,
): Promise<{ status: number; body: unknown } | undefined> {
  try {
    const response = await fetch(url, {
      method,
      headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    return { status: response.status, body: await response.json() };
  } catch (error) {
    // Refused or cut off, as the killed server's callers are. Silence is another matter.
    if (error instanceof DOMException && error.name === 'TimeoutError') throw error;
    return undefined;
  }
}
