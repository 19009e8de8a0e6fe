import { decodeBase64 } from '../messages/base64.ts';

/**
 * The bytes of `image_data`: standard base64 with its padding, white space allowed, bare or as a data URL of any
 * media type. Or a sentence, to follow the field's name, on why there are none.
 */
export function decodeImageData(text: string, maxBytes: number): Buffer | string {
  const base64 = withoutHeader(text.trimStart());
  if (base64 === undefined) return 'is a data URL without base64';
  const longest = Math.ceil(maxBytes / 3) * 4;
  // Most texts have no white space, and looking for it takes longer than finding that out.
  const plain = base64.length <= longest ? decodePadded(base64) : undefined;
  if (plain !== undefined) return plain;
  const digits = base64.replace(/\s+/g, '');
  if (digits.length > longest) return `has more than ${maxBytes} bytes`;
  return decodePadded(digits) ?? 'is not valid base64';
}

/** What follows `data:…;base64,`. */
function withoutHeader(text: string): string | undefined {
  if (!/^data:/i.test(text)) return text;
  const comma = text.indexOf(',');
  return /;\s*base64\s*$/i.test(text.slice(0, comma)) ? text.slice(comma + 1) : undefined;
}

function decodePadded(base64: string): Buffer | undefined {
  return base64.length % 4 === 0 ? decodeBase64(base64) : undefined;
}
