/**
 * The bytes of standard base64, whose padding may be missing; undefined for anything else. A pattern over all characters
 * takes as long as decoding an image: instead, what came out must be as long as the text promises, for Node's decoder
 * leaves out the characters that it does not know. (For the server only; browsers have no `Buffer`.)
 */
export function decodeBase64(text: string): Buffer | undefined {
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const digits = text.length - padding;
  // One digit more than whole bytes need tells nothing, and would hide a wrong one.
  if (digits % 4 === 1) return undefined;
  // The alphabet of URLs, which the decoder knows as well.
  if (text.includes('-') || text.includes('_')) return undefined;
  // Of characters beyond ASCII it would take the last byte.
  if (Buffer.byteLength(text) !== text.length) return undefined;
  const bytes = Buffer.from(text, 'base64');
  return bytes.length === Math.floor((digits * 3) / 4) ? bytes : undefined;
}
