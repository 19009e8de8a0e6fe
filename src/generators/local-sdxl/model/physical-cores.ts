import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/**
 * Cores that compute, without the second thread that many of them have: matrix products gain nothing from it. No more
 * than this process may use. Known on Linux; elsewhere it is what the process may use.
 */
export function physicalCores(readCpus = () => readFileSync('/proc/cpuinfo', 'utf8')): number {
  const allowed = availableParallelism();
  let text: string;
  try {
    text = readCpus();
  } catch {
    // Not Linux.
    return allowed;
  }
  const cores = new Set(
    text.split('\n\n').flatMap((block) => {
      const core = /^core id\s*:\s*(\d+)$/m.exec(block)?.[1];
      const socket = /^physical id\s*:\s*(\d+)$/m.exec(block)?.[1];
      return core === undefined ? [] : [`${socket} ${core}`];
    }),
  );
  return cores.size === 0 ? allowed : Math.min(cores.size, allowed);
}
