import { launch } from '../launch.ts';

/** How a command ended, and what it wrote. */
export interface Ended {
  readonly code: number | NodeJS.Signals | null;
  /** Lines of stdout; those that are JSON objects are parsed. */
  readonly lines: readonly unknown[];
  readonly stderr: string;
}

/** Runs a command of the real program to its end. */
export async function run(cwd: string, args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  const launched = launch(cwd, args, env);
  const code = await launched.ended;
  const lines = launched.lines.map((line) => ('msg' in line && Object.keys(line).length === 1 ? line.msg : line));
  return { code, lines, stderr: launched.stderr() };
}

/** The one line of JSON that a problem is with `--json`. */
export function problemOf({ stderr }: Ended): unknown {
  return JSON.parse(stderr);
}
