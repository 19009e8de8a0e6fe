import { Command } from 'commander';
import packageJson from '../package.json' with { type: 'json' };
import { startImageServer } from './app.ts';
import { serve } from './cli/serve.ts';
import { loadConfig } from './config/load.ts';
import type { AppError, ErrorCode } from './errors.ts';
import { asAppError } from './errors.ts';
import { createLog } from './observe/log.ts';

/** Exit codes as in sysexits.h; everything else is 1. */
const EXIT_CODES: Partial<Record<ErrorCode, number>> = {
  port_in_use: 69,
  data_dir_in_use: 75,
  storage_full: 75,
  config_invalid: 78,
  journal_unreadable: 78,
};

const USAGE = 2;

/** The command line. Resolves when the command is done; sets the exit code. */
export async function main(host: NodeJS.Process): Promise<void> {
  // libzmq and libvips keep threads that would hold the process: it ends when the command does.
  const end = (code: number) => host.exit(code);
  try {
    await createProgram(host).parseAsync(host.argv);
    end(0);
  } catch (thrown) {
    if (isCommanderError(thrown)) end(thrown.exitCode === 0 ? 0 : USAGE);
    const error = asAppError(thrown);
    const detail = error.code === 'internal' && error.cause instanceof Error ? `\n${error.cause.stack}` : '';
    host.stderr.write(`image-server: ${error.message}${detail}\n`);
    end(exitCodeOf(error));
  }
}

function createProgram(host: NodeJS.Process): Command {
  const program = new Command('image-server')
    .description('Renders images over REST, WebSocket and the Experimance bus')
    .version(packageJson.version)
    .exitOverride();
  program
    .command('serve')
    .description('Serve until a signal comes')
    .usage('[--config FILE] [--section.key VALUE ...]')
    .addHelpText('after', '\nEvery key of config.toml is a flag as well, as in --http.port 9000 or --log_level debug.')
    .allowUnknownOption()
    .allowExcessArguments()
    .exitOverride()
    .action((_options, command: Command) => runServe(host, command.args));
  return program;
}

async function runServe(host: NodeJS.Process, argv: readonly string[]): Promise<void> {
  const loaded = loadConfig({ argv, env: host.env, cwd: host.cwd() });
  const log = createLog({
    level: loaded.config.log_level,
    target: host.stdout,
    pretty: host.stdout.isTTY === true,
  });
  const crash = (thrown: unknown) => {
    log.fatal({ err: thrown }, 'an error that nothing caught; the journal has everything that was accepted');
    host.exit(1);
  };
  host.on('uncaughtException', crash);
  host.on('unhandledRejection', crash);
  await serve({
    loaded,
    log,
    nodeVersion: host.version,
    host: {
      onSignal: (signal, listener) => void host.on(signal, listener),
      exit: (code) => host.exit(code),
      stderr: host.stderr,
    },
    start: startImageServer,
    exitCodeOf,
  });
}

function exitCodeOf({ code }: AppError): number {
  return EXIT_CODES[code] ?? 1;
}

function isCommanderError(error: unknown): error is Error & { exitCode: number } {
  return error instanceof Error && 'exitCode' in error && typeof error.exitCode === 'number';
}
