/**
 * A time, in ms since 1970, as Python's naive `isoformat` has it: local, without a zone, as in
 * `2026-11-22T06:24:56.588`. With a zone Experimance's health service takes a file for broken.
 */
export function localTimestamp(ms: number): string {
  const time = new Date(ms);
  const two = (value: number) => String(value).padStart(2, '0');
  const day = [time.getFullYear(), two(time.getMonth() + 1), two(time.getDate())].join('-');
  const clock = [time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join(':');
  return `${day}T${clock}.${String(time.getMilliseconds()).padStart(3, '0')}`;
}
