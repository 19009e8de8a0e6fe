import type { Command } from 'commander';
import type { Client } from '../client/client.ts';
import { CommandError, EXIT, usageError } from './command-error.ts';

/** Where a server is when nothing says so. */
const DEFAULT_SERVER = 'http://127.0.0.1:8080';

/** A stream that a command writes to. */
export type Output = NodeJS.WritableStream & { readonly isTTY?: boolean };

/** What the commands need of the process that they run in. */
export interface CommandHost {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Relative paths start here. */
  readonly cwd: string;
  /** Hears an interrupt (Ctrl-C), which then does nothing else. */
  onInterrupt(listener: () => void): void;
}

/** What commands that talk to a server are built with. */
export interface ClientCommandContext {
  readonly host: CommandHost;
  readonly connect: (options: { server: string }) => Client;
}

/** Options that every command of the client has. */
export interface ClientCommandOptions {
  readonly server?: string;
  readonly json?: boolean;
}

/** Adds the options that every command of the client has. */
export function addClientOptions(command: Command): Command {
  return command
    .option('--server <url>', `where the server is (default: $IMAGE_SERVER_URL, else ${DEFAULT_SERVER})`)
    .option('--json', 'print JSON, and problems as JSON on stderr');
}

/** The client of the server that the flags or the environment name. Throws `CommandError`. */
export function clientFor({ server }: ClientCommandOptions, { host, connect }: ClientCommandContext): Client {
  if (server !== undefined) {
    if (isServerUrl(server)) return connect({ server });
    throw usageError('--server must be a URL like http://127.0.0.1:8080, without a name or password in it.');
  }
  const fromEnv = host.env.IMAGE_SERVER_URL ?? '';
  if (fromEnv === '' || isServerUrl(fromEnv)) return connect({ server: fromEnv || DEFAULT_SERVER });
  throw new CommandError(
    EXIT.config,
    'config_invalid',
    'IMAGE_SERVER_URL must be a URL like http://127.0.0.1:8080, without a name or password in it.',
  );
}

function isServerUrl(text: string): boolean {
  const url = URL.parse(text);
  if (url === null || !['http:', 'https:'].includes(url.protocol)) return false;
  return url.username + url.password + url.search + url.hash === '';
}
