import type { Writable } from 'node:stream';
import type { ImageServerOptions, ImageServerService } from '../app.ts';
import type { LoadedConfig } from '../config/load.ts';
import type { AppError } from '../errors.ts';
import type { Log } from '../observe/log.ts';

/** What `serve` needs of the process that it runs in. */
export interface ServeHost {
  /** Hears a signal whenever it comes. */
  onSignal(signal: 'SIGTERM' | 'SIGINT' | 'SIGHUP', listener: () => void): void;
  /** Hears what was thrown, or rejected, and caught by nobody. */
  onUncaught(listener: (thrown: unknown) => void): void;
  exit(code: number): never;
  readonly stderr: Pick<Writable, 'write'>;
}

/** Options of `serve`. */
export interface ServeOptions {
  readonly loaded: LoadedConfig;
  readonly log: Log;
  readonly nodeVersion: string;
  readonly host: ServeHost;
  readonly start: (options: ImageServerOptions) => Promise<ImageServerService>;
  readonly exitCodeOf: (error: AppError) => number;
}

/** Exit code after a second signal, as shells have it for an interrupt. */
const INTERRUPTED = 130;
/** Exit code after an error that nothing caught, as Node has it. */
const CRASHED = 1;

/** Serves until a signal comes. The first one lets running renders end, the second ends the process at once. */
export async function serve({ loaded, log, nodeVersion, host, start, exitCodeOf }: ServeOptions): Promise<void> {
  let server: ImageServerService | undefined;
  let crashing = false;
  host.onUncaught((thrown) => {
    log.fatal({ err: thrown }, 'an error that nothing caught; the journal has everything that was accepted');
    // What is in such disorder that its last words fail as well still ends.
    if (crashing || server === undefined) return host.exit(CRASHED);
    crashing = true;
    void server.crash().finally(() => host.exit(CRASHED));
  });
  const stopped = Promise.withResolvers<void>();
  let signals = 0;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    host.onSignal(signal, () => {
      signals += 1;
      if (signals > 1) host.exit(INTERRUPTED);
      log.info({ signal }, 'stopping; a second signal ends the process at once');
      stopped.resolve();
    });
  }
  // Experimance's service manager reloads with it. There is nothing to reload, and dying is Node's default.
  host.onSignal('SIGHUP', () => log.info({ signal: 'SIGHUP' }, 'the server goes on'));

  for (const warning of loaded.warnings) log.warn({}, warning);
  log.info({ config: loaded.file ?? 'defaults' }, 'configuration loaded');
  const onFatal = (error: AppError) => {
    log.fatal({ err: error, code: error.code }, 'the server cannot go on');
    host.stderr.write(`image-server: ${error.message}\n`);
    host.exit(exitCodeOf(error));
  };
  server = await start({ config: loaded.config, secrets: loaded.secrets, log, nodeVersion, onFatal });
  await stopped.promise;
  await server.stop();
}
