import type { ChildProcess } from 'node:child_process';
import { fork } from 'node:child_process';
import { extname } from 'node:path';
import type { FromChild, ToChild } from './protocol.ts';

/** How much of the child's complaints is kept for the log, in characters. */
const KEPT_COMPLAINTS = 2000;

/** One life of the process that holds the model. */
export interface ChildLink {
  /** Resolves when the message has left this process, or the child is gone. */
  send(message: ToChild): Promise<void>;
  /** Ends it at once; resolves when it is gone. */
  kill(): Promise<void>;
}

/** Who hears of a child. */
export interface ChildListener {
  onMessage(message: FromChild): void;
  /** Called once, after the last message. `how` is its signal or exit code, with what it last complained of. */
  onExit(how: string): void;
}

/** Starts the child's process. */
export type StartChild = (listener: ChildListener) => ChildLink;

/** Starts `child.ts` beside this file, with messages that carry pixels as they are. */
export function startChild({ onMessage, onExit }: ChildListener): ChildLink {
  const child = fork(new URL(`./child${extname(import.meta.url)}`, import.meta.url), {
    serialization: 'advanced',
    // Not this process's own flags: an inspector's port can be had once.
    execArgv: [],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  return linkTo(child, { onMessage, onExit });
}

/** Ties a process that was started with an IPC channel to its listener. */
export function linkTo(child: ChildProcess, { onMessage, onExit }: ChildListener): ChildLink {
  let complaints = '';
  const gone = Promise.withResolvers<void>();
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    complaints = (complaints + text).slice(-KEPT_COMPLAINTS);
  });
  child.on('message', (message: FromChild) => onMessage(message));
  let ended = false;
  const end = (how: string): void => {
    if (ended) return;
    ended = true;
    gone.resolve();
    onExit(complaints === '' ? how : `${how}: ${complaints.trim()}`);
  };
  child.once('exit', (code, signal) => {
    const how = signal ?? `exit code ${code}`;
    // Its last words may still be on their way. Not `close`: that never comes when our side has disconnected.
    if (child.stderr === null || child.stderr.closed) end(how);
    else child.stderr.once('close', () => end(how));
  });
  // Without a process there is only this.
  child.once('error', (error) => {
    if (child.pid === undefined) end(error.message);
  });

  return {
    send: (message) =>
      new Promise((resolve) => {
        if (!child.connected) resolve();
        // That it is gone is told by its exit.
        else child.send(message, () => resolve());
      }),
    async kill() {
      child.kill('SIGKILL');
      await gone.promise;
    },
  };
}
