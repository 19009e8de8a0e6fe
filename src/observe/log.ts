import { Writable } from 'node:stream';
import { pino } from 'pino';
import pretty from 'pino-pretty';
import type { Config } from '../config/schema.ts';

/** Fields that could hold a key, wherever they stand in what is logged. */
const SECRETS = ['authorization', 'cookie', 'api_key', 'apiKey', 'key', 'token', 'password', 'credentials'];

/** Where log lines go. */
export interface LogTarget {
  write(line: string): void;
}

/** Options of `createLog`. */
export interface LogOptions {
  readonly level: Config['log_level'];
  readonly target: LogTarget;
  /** Whether a person reads it: then coloured lines, else JSON. */
  readonly pretty: boolean;
}

/** The server's log: JSON lines with ISO times, or readable ones on a terminal. Keys are replaced by `[redacted]`. */
export function createLog({ level, target, pretty: readable }: LogOptions) {
  const destination = readable ? pretty({ destination: toStream(target), colorize: true, sync: true }) : target;
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: {
        paths: SECRETS.flatMap((name) => [name, `*.${name}`, `*.*.${name}`, `*.*.*.${name}`]),
        censor: '[redacted]',
      },
    },
    destination,
  );
}

/** pino-pretty wants a stream. */
function toStream(target: LogTarget): Writable {
  return new Writable({
    write(chunk, _encoding, done) {
      target.write(String(chunk));
      done();
    },
  });
}

/** The server's log. */
export type Log = ReturnType<typeof createLog>;
