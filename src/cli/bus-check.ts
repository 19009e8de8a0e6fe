import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import type { Command } from 'commander';
import type { Config } from '../config/schema.ts';
import type { BusCommandContext, BusOptions } from './bus-command.ts';
import { addBusOptions, configFor } from './bus-command.ts';
import { addClientOptions, clientFor } from './client-command.ts';
import { CommandError, EXIT } from './command-error.ts';
import { reasonOf } from './file-reason.ts';
import { greets } from './greeting.ts';
import { table } from './text.ts';

/** One line of the table. */
interface Finding {
  readonly what: string;
  readonly state: 'ok' | 'note' | 'failed';
  readonly found: string;
  /** How to mend it; empty when there is nothing to mend. */
  readonly mend: string;
}

/** Experimance's health service takes an older file for dead, in ms. */
const HEALTH_FILE_MS = 120_000;

const HELP = `
It only looks: nothing is sent, and no request of the core is taken. Exit codes: 0 all is well, 1 a folder or a file is
not as it must be, 69 the core or the server cannot be reached, 78 wrong configuration.`;

/** Adds `bus check`. */
export function addBusCheckCommand(bus: Command, context: BusCommandContext): void {
  const command = bus.command('check').description('Look whether the bus can work, and say how to mend what cannot');
  addBusOptions(addClientOptions(command))
    .addHelpText('after', HELP)
    .action(() => check(command.opts<BusOptions>(), context));
}

async function check(options: BusOptions, context: BusCommandContext): Promise<void> {
  const config = configFor(options, context);
  const reached = await Promise.all([...corePorts(config.bus), theServer(options, context)]);
  const files = await Promise.all([theImages(config), ...theRoots(config), ...healthFile(config)]);
  const findings = [...reached, ...files];
  const rows = findings.map(({ state, what, found, mend }) => [state, what, found, mend]);
  const text =
    options.json === true ? `${JSON.stringify({ findings })}\n` : table([['', 'WHAT', 'FOUND', 'TO MEND IT'], ...rows]);
  context.host.stdout.write(text);
  if (reached.some(({ state }) => state === 'failed')) throw new CommandError(EXIT.unreachable, 'unreachable', '');
  if (files.some(({ state }) => state === 'failed')) throw new CommandError(EXIT.failed, 'check_failed', '');
}

function corePorts(bus: Config['bus']): Promise<Finding>[] {
  if (bus.layout === 'pubsub') return [corePort('events', bus.events, 'failed'), imagesPort(bus.images)];
  return [
    corePort('requests', bus.requests, 'failed'),
    corePort('results', bus.results, 'failed'),
    // The work goes on without it.
    corePort('events', bus.events, 'note'),
  ];
}

async function corePort(key: string, address: string, missing: 'failed' | 'note'): Promise<Finding> {
  const what = `${key} ${address}`;
  const outcome = await greets(address);
  switch (outcome) {
    case 'greets':
      return { what, state: 'ok', found: 'a core answers', mend: '' };
    case 'silent':
      return {
        what,
        state: missing,
        found: 'something listens but does not answer',
        mend: 'the core hangs: restart it',
      };
    case 'strange':
      return { what, state: missing, found: 'what answers is not ZeroMQ', mend: `correct [bus] ${key}` };
    default:
      return { what, state: missing, found: outcome, mend: `start the core, or correct [bus] ${key}` };
  }
}

/** Where the server publishes; others look for its images there. */
async function imagesPort(address: string): Promise<Finding> {
  const what = `published ${address}`;
  const outcome = await greets(address);
  if (outcome === 'greets') return { what, state: 'ok', found: 'the server publishes', mend: '' };
  const found = outcome === 'silent' || outcome === 'strange' ? 'what listens there is no image server' : outcome;
  return { what, state: 'failed', found, mend: 'start the server, or correct [bus] images' };
}

async function theServer(options: BusOptions, context: BusCommandContext): Promise<Finding> {
  const client = clientFor(options, context);
  const what = `server ${client.server}`;
  try {
    const { bus } = (await client.health({ signal: AbortSignal.timeout(5000) })).parts;
    if (bus === undefined) return { what, state: 'failed', found: 'its bus is off', mend: 'set [bus] enabled = true' };
    if (bus.status === 'ok') return { what, state: 'ok', found: 'its bus is up', mend: '' };
    return { what, state: 'note', found: `its bus: ${bus.reason ?? bus.status}`, mend: 'see the lines above' };
  } catch {
    return { what, state: 'failed', found: 'no server answers', mend: 'image-server serve, or give --server' };
  }
}

async function theImages({ cache_dir, bus }: Config): Promise<Finding> {
  const mapped = Object.entries(bus.path_map).find(([here]) =>
    `${cache_dir}/`.startsWith(`${here.replace(/\/+$/, '')}/`),
  );
  const seen = mapped === undefined ? 'the core must read it under the same path' : `for the core below ${mapped[1]}`;
  const what = `images ${cache_dir}`;
  try {
    await access(cache_dir, constants.R_OK | constants.W_OK | constants.X_OK);
    return { what, state: 'ok', found: seen, mend: '' };
  } catch (error) {
    return { what, state: 'failed', found: reasonOf(error), mend: 'make it, give it to this user, or set cache_dir' };
  }
}

function theRoots({ inputs, cache_dir }: Config): Promise<Finding>[] {
  return (inputs.file_roots ?? [tmpdir(), cache_dir]).map(async (root): Promise<Finding> => {
    const what = `inputs ${root}`;
    try {
      await access(root, constants.R_OK | constants.X_OK);
      return { what, state: 'ok', found: 'files below it may be named in requests', mend: '' };
    } catch (error) {
      return { what, state: 'note', found: reasonOf(error), mend: 'correct [inputs] file_roots' };
    }
  });
}

function healthFile({ health: { file } }: Config): Promise<Finding>[] {
  return file === undefined ? [] : [aHealthFile(file)];
}

async function aHealthFile(file: string): Promise<Finding> {
  const what = `health file ${file}`;
  try {
    const { mtimeMs } = await stat(file);
    if (Date.now() - mtimeMs <= HEALTH_FILE_MS) return { what, state: 'ok', found: 'it is up to date', mend: '' };
    return { what, state: 'failed', found: 'it is old', mend: 'look whether the server runs' };
  } catch (error) {
    return {
      what,
      state: 'failed',
      found: reasonOf(error),
      mend: 'look whether the server runs, or set [health] file',
    };
  }
}
