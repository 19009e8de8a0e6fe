import type { Command } from 'commander';
import type { LoadedConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import type { ClientCommandContext, ClientCommandOptions } from './client-command.ts';
import { CommandError, EXIT } from './command-error.ts';

/** The core's side of the bus, as the commands use it. */
export interface CoreSide {
  send(request: { readonly type: string }, signal: AbortSignal): Promise<void>;
  readonly answers: AsyncIterable<string>;
  close(): void;
}

/** What the commands of the bus are built with. */
export interface BusCommandContext extends ClientCommandContext {
  readonly loadConfig: (input: { argv: readonly string[] }) => LoadedConfig;
  /** Loaded when they are used: no other command needs ZeroMQ. */
  readonly openCore: (config: Config['bus']) => Promise<CoreSide>;
  readonly listen: (
    addresses: readonly string[],
  ) => Promise<{ readonly messages: AsyncIterable<string>; close(): void }>;
}

/** Options of every command of the bus. */
export interface BusOptions extends ClientCommandOptions {
  readonly config?: string;
  readonly projects?: string;
}

/** Adds what says where the bus is. */
export function addBusOptions(command: Command): Command {
  return command
    .option('--config <file>', 'the configuration that says where the bus is; as for serve')
    .option('--projects <dir>', "the folder of Experimance's projects; as for serve")
    .addHelpText(
      'after',
      '\nEvery key of [bus] is taken from where serve takes it, and its environment variables count.',
    );
}

/** The configuration as `serve` would load it. */
export function configFor({ config, projects }: BusOptions, context: BusCommandContext): Config {
  const argv = [
    ...(config === undefined ? [] : ['--config', config]),
    ...(projects === undefined ? [] : ['--projects', projects]),
  ];
  return context.loadConfig({ argv }).config;
}

/** A signal that an interrupt or the time aborts; `state` says what has been reached. */
export function interruptible(
  { host }: BusCommandContext,
  seconds: number,
  late: () => CommandError,
): { signal: AbortSignal; done(): void } {
  const controller = new AbortController();
  host.onInterrupt(() => controller.abort(new CommandError(EXIT.interrupted, 'interrupted', '')));
  const timer = setTimeout(() => controller.abort(late()), seconds * 1000);
  return { signal: controller.signal, done: () => clearTimeout(timer) };
}
