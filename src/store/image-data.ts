/**
 * The bytes of `image_data`: standard base64 with its padding, white space allowed, bare or as a data URL of any
 * media type. Or a sentence, to follow the field's name, on why there are none.
 */
export function decodeImageData(text: string, maxBytes: number): Buffer | string {
  const base64 = withoutHeader(text.trimStart());
  if (base64 === undefined) return 'is a data URL without base64';
  const digits = /\s/.test(base64) ? base64.replace(/\s+/g, '') : base64;
  if (digits.length > Math.ceil(maxBytes / 3) * 4) return `has more than ${maxBytes} bytes`;
  if (!isBase64(digits)) return 'is not valid base64';
  return Buffer.from(digits, 'base64');
}

/** What follows `data:…;base64,`. */
function withoutHeader(text: string): string | undefined {
  if (!/^data:/i.test(text)) return text;
  const comma = text.indexOf(',');
  return /;\s*base64\s*$/i.test(text.slice(0, comma)) ? text.slice(comma + 1) : undefined;
}

/** Looks for one wrong character, because a pattern for all the right ones overflows on long texts. */
function isBase64(digits: string): boolean {
  const padding = digits.endsWith('==') ? 2 : digits.endsWith('=') ? 1 : 0;
  return digits.length % 4 === 0 && !/[^A-Za-z0-9+/]/.test(digits.slice(0, digits.length - padding));
}
