/**
 * Runs steps of which only the newest matters, one after the other for each of a few names: while one runs, the newest of
 * those that wait takes the place of all, and they settle as it does.
 */
export function createNewest() {
  const lines = new Map<string, Line>();

  return async (name: string, step: Step): Promise<void> => {
    const line = lines.get(name);
    if (line === undefined) {
      const running = step();
      lines.set(name, { running, waiting: undefined });
      return await running;
    }
    if (line.waiting !== undefined) line.waiting.step = step;
    else line.waiting = { step, done: runWaiting(line) };
    await line.waiting.done;
  };
}

type Step = () => Promise<void>;

interface Line {
  /** The step that runs, or ran last. */
  running: Promise<void>;
  waiting: { step: Step; readonly done: Promise<void> } | undefined;
}

async function runWaiting(line: Line): Promise<void> {
  // How it ended has been told to those who waited for it.
  await line.running.catch(() => undefined);
  const step = line.waiting?.step;
  line.waiting = undefined;
  if (step === undefined) return;
  line.running = step();
  await line.running;
}
