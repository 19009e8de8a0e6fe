/** Longest wait that a caller can ask for, in s. */
export const MAX_WAIT_S = 60;

/** Ms that `Prefer: wait=N` (RFC 7240) asks for, at most `MAX_WAIT_S`; undefined when it does not ask. */
export function preferredWaitMs(header: string | undefined): number | undefined {
  const seconds = /(?:^|[,;\s])wait\s*=\s*"?(\d+)"?\s*(?:[,;]|$)/i.exec(header ?? '')?.[1];
  return seconds === undefined ? undefined : Math.min(MAX_WAIT_S, Number(seconds)) * 1000;
}
