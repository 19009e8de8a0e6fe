import type { Command } from 'commander';
import { Option } from 'commander';
import type { StreamMessage } from '../client/stream-messages.ts';
import { EVENT_TYPES } from '../messages/events.ts';
import type { ClientCommandContext, ClientCommandOptions } from './client-command.ts';
import { addClientOptions, clientFor } from './client-command.ts';
import { CommandError, EXIT } from './command-error.ts';
import { printable } from './text.ts';

/** Most characters of one value in a line for people. */
const MAX_VALUE = 100;

interface EventsOptions extends ClientCommandOptions {
  readonly type?: readonly string[];
}

/** Adds `events`. */
export function addEventsCommand(program: Command, context: ClientCommandContext): void {
  const types = new Option('--type <type...>', 'only these types of events').choices([
    'Hello',
    'RenderProgress',
    ...EVENT_TYPES,
  ]);
  const command = program
    .command('events')
    .description('Print what happens from now on, one event a line, until an interrupt (exit code 130)')
    .addOption(types);
  addClientOptions(command).action(() => runEvents(command.opts<EventsOptions>(), context));
}

async function runEvents(options: EventsOptions, context: ClientCommandContext): Promise<void> {
  const { host } = context;
  const interrupt = new AbortController();
  host.onInterrupt(() => interrupt.abort());
  const client = clientFor(options, context);
  for await (const message of client.events({ signal: interrupt.signal })) {
    if (options.type?.includes(message.type) === false) continue;
    host.stdout.write(`${options.json === true ? JSON.stringify(message) : lineOf(message)}\n`);
  }
  if (interrupt.signal.aborted) throw new CommandError(EXIT.interrupted, 'interrupted', '');
}

/** Time, number and type first; then what the event says, as `key=value`. */
function lineOf(message: StreamMessage): string {
  const { time, seq, type, ...rest }: { readonly [key: string]: unknown } = message;
  const said = Object.entries(rest).map(([key, value]) => `${key}=${shown(value)}`);
  const head = [time, seq === undefined ? undefined : `#${seq}`, type].filter((part) => part !== undefined);
  return printable([...head, ...said].join(' '));
}

function shown(value: unknown): string {
  const text = typeof value === 'string' && /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
  return text.length > MAX_VALUE ? `${text.slice(0, MAX_VALUE)}…` : text;
}
