import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeBase64 } from '../../src/messages/base64.ts';

const STANDARD = /^[A-Za-z0-9+/]*={0,2}$/;
const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array));

test('what was encoded comes back, with its padding and without', () => {
  fc.assert(
    fc.property(bytes, (original) => {
      const text = original.toString('base64');
      expect(decodeBase64(text)).toEqual(original);
      expect(decodeBase64(text.replace(/=+$/, ''))).toEqual(original);
    }),
  );
});

test('a text with anything else in it, anywhere, is refused', () => {
  // U+0141 and U+0130 end like letters of base64 when only their last byte is looked at.
  const wrong = fc.constantFrom(' ', '\n', '\0', '-', '_', '=', '!', '\u007f', '\u00e9', '\u0141', '\u0130', '😀');
  const place = fc.record({ at: fc.nat(), wrong });
  fc.assert(
    fc.property(bytes, fc.array(place, { minLength: 1, maxLength: 4 }), (original, places) => {
      let text = original.toString('base64');
      for (const { at, wrong: sign } of places) {
        const index = at % (text.length + 1);
        text = text.slice(0, index) + sign + text.slice(index);
      }
      fc.pre(!STANDARD.test(text));
      expect(decodeBase64(text)).toBeUndefined();
    }),
    { numRuns: 5000 },
  );
});

test('texts of any characters are taken only when a pattern would take them', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 30 }), (text) => {
      const digits = text.replace(/={1,2}$/, '').length;
      expect(decodeBase64(text) !== undefined).toBe(STANDARD.test(text) && digits % 4 !== 1);
    }),
    { numRuns: 2000 },
  );
});

test('one wrong character in a megabyte is found', () => {
  const text = Buffer.alloc(786_432, 'image').toString('base64');
  for (const at of [0, 1, 500_000, text.length - 1]) {
    expect(decodeBase64(`${text.slice(0, at)}*${text.slice(at + 1)}`)).toBeUndefined();
  }
});
