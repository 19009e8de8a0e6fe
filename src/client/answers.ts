import { z } from 'zod';
import { ClientError } from './client-error.ts';

/** Statuses after which the same call may succeed, for answers that do not say so themselves. */
const RETRYABLE = [408, 425, 429, 500, 502, 503, 504, 507];

/** A problem as far as the client needs it; the code is any word, since the server may be newer. */
const problemBody = z.object({
  code: z.string(),
  detail: z.string(),
  retryable: z.boolean(),
  errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
});

/** The body of a good answer. Throws `unexpected_answer` when it is not JSON of this schema. */
export async function readJson<T>(response: Response, schema: z.ZodType<T>): Promise<T> {
  const parsed = schema.safeParse(await jsonOf(response));
  if (parsed.success) return parsed.data;
  throw new ClientError('unexpected_answer', `${whatCame(response)}: that is not what an image server answers.`, {
    cause: parsed.error,
    status: response.status,
    retryable: RETRYABLE.includes(response.status),
  });
}

/** The error that a bad answer stands for: the server's problem, or `unexpected_answer` when it is none. */
export async function errorOf(response: Response): Promise<ClientError> {
  const { status } = response;
  const retryAfterMs = retryAfter(response.headers.get('retry-after'));
  const problem = problemBody.safeParse(await jsonOf(response));
  if (problem.success) {
    const { code, detail, retryable, errors } = problem.data;
    return new ClientError(code, detail, { status, issues: errors, retryable, retryAfterMs });
  }
  return new ClientError('unexpected_answer', `${whatCame(response)}: that is no answer of an image server.`, {
    status,
    retryable: RETRYABLE.includes(status),
    retryAfterMs,
  });
}

/** What of the body is JSON; undefined when it is not. Rejects when the connection breaks off. */
async function jsonOf(response: Response): Promise<unknown> {
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function whatCame({ url, status, headers }: Response): string {
  return `${url} answered ${status} with ${headers.get('content-type') ?? 'no content type'}`;
}

/** `Retry-After` in ms: seconds, or a date (RFC 9110, section 10.2.3). */
function retryAfter(header: string | null): number | undefined {
  if (header === null) return undefined;
  if (/^\s*\d+\s*$/.test(header)) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}
