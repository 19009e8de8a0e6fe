import type { Command } from 'commander';
import type { BusCommandContext, BusOptions } from './bus-command.ts';
import { addBusOptions, configFor } from './bus-command.ts';
import { CommandError, EXIT } from './command-error.ts';
import { printable } from './text.ts';

/** Most characters of a line for people: images may travel in messages. */
const MAX_LINE = 500;

const HELP = `
It hears what the core publishes ([bus] events) and what this server publishes ([bus] images). In the layout worker
requests and results travel from socket to socket, where nobody else can listen without taking them: image-server events
shows those.`;

/** Adds `bus listen`. */
export function addBusListenCommand(bus: Command, context: BusCommandContext): void {
  const command = bus
    .command('listen')
    .description('Print what is published on the bus, one message a line, until an interrupt (exit code 130)')
    .option('--json', 'print each message whole: {"topic": …, "message": …}');
  addBusOptions(command)
    .addHelpText('after', HELP)
    .action(() => listen(command.opts<BusOptions>(), context));
}

async function listen(options: BusOptions, context: BusCommandContext): Promise<void> {
  const { host } = context;
  const { events, images } = configFor(options, context).bus;
  const listening = await context.listen([events, images.replace('//*', '//127.0.0.1')]);
  let interrupted = false;
  host.onInterrupt(() => {
    interrupted = true;
    listening.close();
  });
  for await (const text of listening.messages) {
    host.stdout.write(`${options.json === true ? toJson(text) : shortened(printable(text))}\n`);
  }
  if (interrupted) throw new CommandError(EXIT.interrupted, 'interrupted', '');
}

function shortened(text: string): string {
  return text.length > MAX_LINE ? `${text.slice(0, MAX_LINE)}…` : text;
}

function toJson(text: string): string {
  const space = text.indexOf(' ');
  const topic = text.slice(0, Math.max(0, space));
  const body = text.slice(space + 1);
  try {
    return JSON.stringify({ topic, message: JSON.parse(body) });
  } catch {
    // Python writes NaN, which is no JSON.
    return JSON.stringify({ topic, text: body });
  }
}
