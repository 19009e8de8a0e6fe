const MOST_MS = 3_600_000;

/**
 * What a `Retry-After` header asks for, in ms from `now` (ms since 1970): seconds, or a date of HTTP. At most an hour;
 * nothing when it cannot be read.
 */
export function readRetryAfter(header: string | undefined, now: number): number | undefined {
  const text = header?.trim() ?? '';
  if (/^\d+(\.\d+)?$/.test(text)) return clamp(Number(text) * 1000);
  // Without a weekday in front, Date.parse would take nearly anything for a date.
  if (!/^[A-Za-z]{3,9},? /.test(text)) return undefined;
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : clamp(at - now);
}

function clamp(ms: number): number {
  return Math.min(MOST_MS, Math.max(0, Math.ceil(ms)));
}
