/** Exit codes of the commands; numbers from 64 on as in sysexits.h. */
export const EXIT = {
  failed: 1,
  usage: 2,
  unreachable: 69,
  later: 75,
  config: 78,
  /** As shells have it for a process that an interrupt ended. */
  interrupted: 130,
} as const;

/** Why a command cannot go on; `message` is one sentence for the user, empty when there is nothing to say. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly exitCode: number;
  /** A word for programs: `usage`, `config_invalid`, `interrupted`, or the code of the render's error. */
  readonly code: string;

  constructor(exitCode: number, code: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.exitCode = exitCode;
    this.code = code;
  }
}

/** The error for what the user typed wrong. */
export function usageError(message: string, cause?: unknown): CommandError {
  return new CommandError(EXIT.usage, 'usage', message, cause);
}
