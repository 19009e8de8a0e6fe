import { Command, CommanderError } from 'commander';
import packageJson from '../package.json' with { type: 'json' };
import { addBusCheckCommand } from './cli/bus-check.ts';
import type { BusCommandContext } from './cli/bus-command.ts';
import { addBusListenCommand } from './cli/bus-listen.ts';
import { addBusSendCommand } from './cli/bus-send.ts';
import type { ClientCommandContext } from './cli/client-command.ts';
import { CommandError, EXIT } from './cli/command-error.ts';
import { addEventsCommand } from './cli/events.ts';
import type { Failure } from './cli/failure.ts';
import { exitCodeOf, failureOfApp, failureOfClient, failureOfCommand } from './cli/failure.ts';
import { addGeneratorsCommand } from './cli/generators.ts';
import { addRenderCommand } from './cli/render.ts';
import { serve } from './cli/serve.ts';
import { refuseTakenPorts } from './cli/taken-ports.ts';
import { createClient } from './client/client.ts';
import { ClientError } from './client/client-error.ts';
import { loadConfig } from './config/load.ts';
import { asAppError } from './errors.ts';

/** The command line. Resolves when the command is done; sets the exit code. */
export async function main(host: NodeJS.Process): Promise<void> {
  // libzmq and libvips keep threads that would hold the process: it ends when the command does.
  const end = (code: number) => host.exit(code);
  try {
    await createProgram(host).parseAsync(host.argv);
    end(0);
  } catch (thrown) {
    if (thrown instanceof CommanderError && thrown.exitCode === 0) end(0);
    const { exitCode, message, problem } = failureOf(thrown);
    const text = host.argv.includes('--json') ? JSON.stringify(problem) : `image-server: ${message}`;
    if (message !== '') host.stderr.write(`${text}\n`);
    end(exitCode);
  }
}

function createProgram(host: NodeJS.Process): Command {
  const program = new Command('image-server')
    .description('Renders images over REST, WebSocket and the Experimance bus')
    .version(packageJson.version)
    .helpCommand(false)
    // What is wrong is printed with everything else that can be, in `main`.
    .configureOutput({ outputError: () => {} })
    .exitOverride();
  program
    .command('serve')
    .description('Serve until a signal comes')
    .usage('[--config FILE] [--section.key VALUE ...]')
    .addHelpText('after', '\nEvery key of config.toml is a flag as well, as in --http.port 9000 or --log_level debug.')
    .allowUnknownOption()
    .allowExcessArguments()
    .action((_options, command: Command) => runServe(host, command.args));
  const context = clientContext(host);
  addRenderCommand(program, context);
  addGeneratorsCommand(program, context);
  addEventsCommand(program, context);
  addBusCommands(program, busContext(host, context));
  program.hook('preAction', (_program, command) => {
    // A reader like `head` leaves when it has enough. The server goes on without one as long as it can.
    if (command.name() !== 'serve') host.stdout.on('error', () => host.exit(0));
  });
  return program;
}

function clientContext(host: NodeJS.Process): ClientCommandContext {
  return {
    host: {
      stdout: host.stdout,
      stderr: host.stderr,
      env: host.env,
      cwd: host.cwd(),
      onInterrupt: (listener) => void host.on('SIGINT', listener),
    },
    connect: createClient,
  };
}

function addBusCommands(program: Command, context: BusCommandContext): void {
  const bus = program
    .command('bus')
    .description('Be the core of the Experimance bus, listen to it, or look whether it works');
  addBusSendCommand(bus, context);
  addBusListenCommand(bus, context);
  addBusCheckCommand(bus, context);
}

function busContext(host: NodeJS.Process, context: ClientCommandContext): BusCommandContext {
  const load = () => import('./transports/bus-core.ts');
  return {
    ...context,
    loadConfig: ({ argv }) => loadConfig({ argv, env: host.env, cwd: host.cwd() }),
    openCore: async (config) => await (await load()).openBusCore(config),
    listen: async (addresses) => (await load()).listenToBus(addresses),
  };
}

async function runServe(host: NodeJS.Process, argv: readonly string[]): Promise<void> {
  const loaded = loadConfig({ argv, env: host.env, cwd: host.cwd() });
  await refuseTakenPorts(loaded.config);
  // Loaded here, since no other command needs codecs and the bus, and each starts in a third of the time without.
  const [{ startImageServer }, { createLog }] = await Promise.all([import('./app.ts'), import('./observe/log.ts')]);
  const log = createLog({
    level: loaded.config.log_level,
    target: host.stdout,
    pretty: host.stdout.isTTY === true,
  });
  // Whoever reads the log may leave; the server has work to do all the same.
  for (const stream of [host.stdout, host.stderr]) stream.on('error', () => {});
  await serve({
    loaded,
    log,
    nodeVersion: host.version,
    host: {
      onSignal: (signal, listener) => void host.on(signal, listener),
      onUncaught(listener) {
        host.on('uncaughtException', listener);
        host.on('unhandledRejection', listener);
      },
      exit: (code) => host.exit(code),
      stderr: host.stderr,
    },
    start: startImageServer,
    exitCodeOf,
  });
}

function failureOf(thrown: unknown): Failure {
  if (thrown instanceof CommandError) return failureOfCommand(thrown);
  if (thrown instanceof ClientError) return failureOfClient(thrown);
  if (!(thrown instanceof CommanderError)) return failureOfApp(asAppError(thrown));
  // Without a command the help has been printed, and there is nothing to add.
  const message = thrown.code === 'commander.help' ? '' : thrown.message.replace(/^error: /, '');
  return failureOfCommand(new CommandError(EXIT.usage, 'usage', message));
}
