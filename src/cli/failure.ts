import type { ClientError } from '../client/client-error.ts';
import type { AppError, ErrorCode, FieldIssue } from '../errors.ts';
import type { CommandError } from './command-error.ts';
import { EXIT } from './command-error.ts';
import { flagOf } from './render-flags.ts';
import { printable } from './text.ts';

/** How a command ends that did not do what it was asked to. */
export interface Failure {
  readonly exitCode: number;
  /** One sentence; empty when there is nothing to say. */
  readonly message: string;
  /** What `--json` prints. */
  readonly problem: Readonly<Record<string, unknown>>;
}

/** Codes of the process that serves. */
const SERVE_CODES: Partial<Record<ErrorCode, number>> = {
  port_in_use: EXIT.unreachable,
  data_dir_in_use: EXIT.later,
  storage_full: EXIT.later,
  config_invalid: EXIT.config,
  journal_unreadable: EXIT.config,
};

/** Codes of a server's answers; the others depend on the status. */
const ANSWER_CODES = new Map<string, number>([
  ['unreachable', EXIT.unreachable],
  ['disconnected', EXIT.unreachable],
  ...exits(EXIT.usage, 'invalid_request', 'unknown_generator', 'unsupported_field', 'invalid_image', 'body_too_large'),
  ...exits(EXIT.later, 'queue_full', 'draining', 'storage_full', 'generator_unavailable'),
]);

function exits(exitCode: number, ...codes: ErrorCode[]): [string, number][] {
  return codes.map((code) => [code, exitCode]);
}

/** Exit code of a server that stops with an error. */
export function exitCodeOf({ code }: AppError): number {
  return SERVE_CODES[code] ?? EXIT.failed;
}

/** An error of the program itself. */
export function failureOfApp(error: AppError): Failure {
  return {
    exitCode: exitCodeOf(error),
    message: `${error.message}${detailOf(error)}`,
    problem: { code: error.code, message: error.message, retryable: error.retryable },
  };
}

/** What the person at the terminal may know beyond the public message. */
function detailOf({ code, cause }: AppError): string {
  if (!(cause instanceof Error)) return '';
  return code === 'internal' ? `\n${cause.stack}` : ` (${cause.message.split('\n', 1)[0]})`;
}

/** An error that a command came to by itself. */
export function failureOfCommand({ exitCode, code, message }: CommandError): Failure {
  return { exitCode, message, problem: { code, message } };
}

/** An error of a call to the server, with fields named as the flags that they came from. */
export function failureOfClient(error: ClientError): Failure {
  const { code, status, retryable, retryAfterMs, issues, message } = error;
  const isLater = retryable && status !== undefined && (status === 429 || status >= 500);
  const when = retryAfterMs === undefined ? '' : `; try again in ${Math.ceil(retryAfterMs / 1000)} s`;
  return {
    exitCode: ANSWER_CODES.get(code) ?? (isLater ? EXIT.later : EXIT.failed),
    message: printable(`${(issues.length === 0 ? message : inFlags(issues)).replace(/\.$/, '')}${when}.`),
    problem: {
      code,
      message,
      retryable,
      ...(status === undefined ? {} : { status }),
      ...(retryAfterMs === undefined ? {} : { retry_after_ms: retryAfterMs }),
      ...(issues.length === 0 ? {} : { errors: issues }),
    },
  };
}

/** All issues as one sentence in the words of the command line. */
export function inFlags(issues: readonly FieldIssue[]): string {
  const parts = issues.map(({ path, message }) => {
    const text = message.replace(/\.$/, '');
    if (path === '') return text;
    // Ours go on from the name ("must be …"); others are sentences of their own.
    return `${flagOf(path)}${/^\p{Lu}/u.test(text) ? ':' : ''} ${text}`;
  });
  return `${parts.join('; ')}.`;
}
