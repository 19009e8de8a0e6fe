import type { Command } from 'commander';
import type { GeneratorResource } from '../messages/render.ts';
import type { ClientCommandContext, ClientCommandOptions } from './client-command.ts';
import { addClientOptions, clientFor } from './client-command.ts';
import { table } from './text.ts';

const HEAD = ['NAME', 'STATE', 'DEFAULT', 'QUEUED', 'RUNNING', 'CAPABILITIES'];

/** Adds `generators`. */
export function addGeneratorsCommand(program: Command, context: ClientCommandContext): void {
  const command = program.command('generators').description('List what makes the images, and how it is');
  addClientOptions(command).action(async () => {
    const options = command.opts<ClientCommandOptions>();
    const generators = await clientFor(options, context).generators();
    const text =
      options.json === true ? `${JSON.stringify({ generators })}\n` : table([HEAD, ...generators.map(toRow)]);
    context.host.stdout.write(text);
  });
}

function toRow({ name, state, reason, capabilities, queued, running, ...rest }: GeneratorResource): string[] {
  const can = Object.entries(capabilities).filter(([, has]) => has);
  return [
    name,
    reason === undefined ? state : `${state} (${reason})`,
    rest.default ? 'yes' : '',
    String(queued),
    String(running),
    can.map(([capability]) => capability).join(' ') || '-',
  ];
}
