import { describe, expect, test } from 'vitest';
import { alert } from '../../src/messages/bus.ts';
import type { LoggedEvent } from '../../src/render/records.ts';
import { MAX_MESSAGE_BYTES, readBusMessage, toAlert, toBusMessage } from '../../src/transports/bus-messages.ts';
import { pythonRenderRequest } from '../fakes/core-peer.ts';

const read = (...frames: (string | Uint8Array)[]) =>
  readBusMessage(
    frames.map((frame) => Buffer.from(frame as string)),
    'direct',
  );
const good = { type: 'RenderRequest', request_id: 'r1', prompt: 'p', era: 'modern', biome: 'river' };
const withField = (entry: string) => `{${entry},${JSON.stringify(good).slice(1)}`;
const about = { seq: 7, time: '2026-11-22T06:00:00.000Z', render_id: 'R', request_id: 'r1' };

function event(fields: object): LoggedEvent['event'] {
  return { ...about, ...fields } as LoggedEvent['event'];
}

const image = {
  type: 'ImageReady',
  uri: 'file:///var/cache/images/a b%20é.jpg',
  prompt: 'ein Fluß\n“delta” 🌊',
  era: 'modern',
  biome: 'river',
  image_id: 'a'.repeat(64),
  url: 'http://127.0.0.1:8080/v1/images/x',
  width: 1024,
  height: 768,
  format: 'jpeg',
  seed: 4294967295,
  generator: 'mock',
  index: 0,
  of: 1,
  cached: false,
  timings: { queued_ms: 1, render_ms: 2, store_ms: 3 },
};

describe('requests', () => {
  test('a request as pydantic writes it is read, with its nulls left out', () => {
    const depth = Buffer.from([1, 2, 3]);
    const input = read(pythonRenderRequest({ request_id: 'r1', seed: 5, depth_map: depth }));
    expect(input).toEqual({
      kind: 'request',
      type: 'RenderRequest',
      requestId: 'r1',
      ignored: [],
      request: {
        request_id: 'r1',
        prompt: 'an aerial view of a river delta',
        width: 1024,
        height: 1024,
        seed: 5,
        depth_map: { image_data: 'data:image/png;base64,AQID' },
        clear_queue: false,
        era: 'wilderness',
        biome: 'desert',
      },
    });
  });

  test('a request as json.dumps writes it, with spaces and escapes, is read', () => {
    const input = read(
      '{"type": "RenderRequest", "request_id": "r\\u00e9", "prompt": "\\ud83c\\udf0a", "era": "modern", "biome": "river"}',
    );
    expect(input).toMatchObject({ kind: 'request', requestId: 'ré', request: { prompt: '🌊' } });
  });

  test.each(['a b', 'ü\u2028\u0000"\\/', '🌊', '../..', '<script>', 'x'.repeat(4096)])(
    'an odd request_id stays as it is',
    (id) => {
      expect(read(JSON.stringify({ ...good, request_id: id }))).toMatchObject({ kind: 'request', requestId: id });
    },
  );

  test('unknown fields, the key __proto__ among them, are left out and change nothing', () => {
    const input = read(withField('"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":1}},"x":[{}]'));
    expect(input).toMatchObject({ kind: 'request' });
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
    expect(Object.keys(input.kind === 'request' ? input.request : {})).not.toContain('__proto__');
  });

  test('of a key given twice the last one counts, as in Python', () => {
    expect(read(withField('"request_id":"first"'))).toMatchObject({ kind: 'request', requestId: 'r1' });
  });

  test('era and biome may be missing: whether the project needs them is decided behind the door', () => {
    const message = pythonRenderRequest({ request_id: 'tile_1', era: null, biome: null });
    expect(read(message)).toMatchObject({ kind: 'request', requestId: 'tile_1' });
  });
});

describe('refusals', () => {
  const notUtf8 = Buffer.concat([
    Buffer.from('{"type":"RenderRequest","request_id":"r\\u00e91","prompt":"'),
    Buffer.from([0x80, 0xff]),
    Buffer.from('"}'),
  ]);
  const text = JSON.stringify(good);
  test.each<[string, readonly (string | Uint8Array)[], string, string | null]>([
    ['bad JSON', ['{"request_id":"r1",'], 'malformed_message', 'r1'],
    ['a topic before the JSON', [`RenderRequest ${text}`], 'malformed_message', 'r1'],
    ['NaN', [withField('"seed":NaN')], 'malformed_message', 'r1'],
    ['Infinity', [withField('"seed":-Infinity')], 'malformed_message', 'r1'],
    ['a number too large for a float', [withField('"guidance_scale":1e999')], 'malformed_message', 'r1'],
    ['such a number in an unknown field', [withField('"x":[{"y":-1e999}]')], 'malformed_message', 'r1'],
    ['a list', [`[${text}]`], 'malformed_message', 'r1'],
    ['a string', ['"hello"'], 'malformed_message', null],
    ['a number', ['1'], 'malformed_message', null],
    ['null', ['null'], 'malformed_message', null],
    ['text that is not UTF-8', [notUtf8], 'malformed_message', 'ré1'],
    ['UTF-16', [Buffer.from(text, 'utf16le')], 'malformed_message', null],
    ['an empty frame', [''], 'malformed_message', null],
    ['white space', [' \n'], 'malformed_message', null],
    ['two frames', ['RenderRequest', text], 'malformed_message', 'r1'],
    ['five empty frames', ['', '', '', '', ''], 'malformed_message', null],
    ['deep nesting', [withField(`"x":${'['.repeat(100)}${']'.repeat(100)}`)], 'malformed_message', 'r1'],
    ['very deep nesting', [withField(`"x":${'['.repeat(1e5)}${']'.repeat(1e5)}`)], 'malformed_message', 'r1'],
    ['half a surrogate pair', [withField('"style":"\\ud83c"')], 'malformed_message', 'r1'],
    ['half a surrogate pair in a key', [withField('"metadata":{"\\udf0a":"x"}')], 'malformed_message', 'r1'],
    ['no type', [text.replace('"type"', '"kind"')], 'unsupported_message', 'r1'],
    ['a type that is no text', [text.replace('"RenderRequest"', '7')], 'unsupported_message', 'r1'],
    ['a type in lower case', [text.replace('RenderRequest', 'renderrequest')], 'unsupported_message', 'r1'],
    ['audio', [text.replace('RenderRequest', 'AudioRenderRequest')], 'unsupported_message', 'r1'],
    ['no request_id', [text.replace('"request_id"', '"id"')], 'invalid_request', null],
    ['an empty request_id', [text.replace('"r1"', '""')], 'invalid_request', null],
    ['a request_id that is no text', [text.replace('"r1"', '5')], 'invalid_request', null],
    ['a request_id that is too long', [text.replace('r1', 'x'.repeat(4097))], 'invalid_request', 'x'.repeat(4097)],
    ['no prompt', [text.replace('"prompt"', '"text"')], 'invalid_request', 'r1'],
    ['a blank prompt', [text.replace('"p"', '"  "')], 'invalid_request', 'r1'],
    ['a depth map that is text', [withField('"depth_map":"x"')], 'invalid_request', 'r1'],
    ['too many bytes', [text + ' '.repeat(MAX_MESSAGE_BYTES)], 'message_too_large', 'r1'],
  ])('%s', (_, frames, code, requestId) => {
    const input = read(...frames);
    expect(input).toMatchObject({ kind: 'refused', requestId, error: { code } });
    if (input.kind === 'refused') expect(alert.parse(toAlert(requestId, input.error))).not.toHaveProperty('uri');
  });

  test('a message of several frames is told how many there were', () => {
    expect(read('a', 'b', '{"request_id" : "r\\"2"}')).toMatchObject({
      requestId: 'r"2',
      error: { message: expect.stringContaining('3 frames') },
    });
  });

  test('an object without an id of its own is not given that of something inside it', () => {
    const input = read('{"type":"RenderRequest","metadata":{"request_id":"other"}}');
    expect(input).toMatchObject({ kind: 'refused', requestId: null });
  });

  test('an id that is half a surrogate pair comes back as it was written', () => {
    const input = read('{"type":"RenderRequest","metadata":{"request_id":"x"},"request_id":"r\\ud83c"}');
    expect(input).toMatchObject({ kind: 'refused', error: { code: 'malformed_message' } });
    expect(input).toMatchObject({ requestId: 'r\ud83c' });
  });

  test('a request_id inside the text of a prompt is not taken for one', () => {
    expect(read('{"prompt":"say \\"request_id\\":\\"x\\"", "request_id":"r1", oops')).toMatchObject({
      requestId: 'r1',
    });
    expect(read('{"a":"request_id","request_id":"r1", oops')).toMatchObject({ requestId: 'r1' });
  });

  test('an unsupported type is named, but not at any length', () => {
    const input = read(JSON.stringify({ type: 'Loop'.repeat(1000), request_id: 'r1' }));
    expect(input).toMatchObject({ type: 'other', error: { message: expect.stringContaining('"LoopLoop') } });
    if (input.kind === 'refused') expect(input.error.message.length).toBeLessThan(200);
  });

  test('whatever the bytes are, the answer is a request or an Alert', () => {
    const seedOf = mulberry32(1);
    const original = Buffer.from(pythonRenderRequest({ request_id: 'r1', depth_map: Buffer.alloc(64) }));
    for (let round = 0; round < 5000; round++) {
      const bytes = Buffer.from(original);
      for (let edit = 0; edit < 1 + seedOf(4); edit++) bytes[seedOf(bytes.length)] = seedOf(256);
      const input = read(bytes.subarray(seedOf(3), bytes.length - seedOf(3)));
      if (input.kind === 'refused') {
        expect(input.error.code).not.toBe('internal');
        alert.parse(toAlert(input.requestId, input.error));
      }
    }
  });
});

describe('what is sent', () => {
  test("an image is told in Experimance's order of fields, unescaped, and without what is not the bus's", () => {
    expect(JSON.stringify(toBusMessage(event(image)))).toBe(
      `{"type":"ImageReady","request_id":"r1","uri":"file:///var/cache/images/a b%20é.jpg","prompt":"ein Fluß\\n“delta” 🌊",` +
        `"era":"modern","biome":"river","image_id":"${'a'.repeat(64)}","width":1024,"height":768,"format":"jpeg",` +
        `"seed":4294967295,"generator":"mock","index":0,"of":1,"cached":false}`,
    );
  });

  test('an image without era and biome is told without them', () => {
    const { era: _era, biome: _biome, ...elsewhere } = image;
    const message = toBusMessage(event(elsewhere));
    expect(Object.keys(message ?? {}).slice(0, 5)).toEqual(['type', 'request_id', 'uri', 'prompt', 'image_id']);
  });

  test('an image that no path is known of cannot be told', () => {
    expect(() => toBusMessage(event({ ...image, uri: undefined }))).toThrow();
    expect(() => toBusMessage(event({ ...image, uri: 'http://x/y.png' }))).toThrow();
  });

  test('failures are errors, cancelled and superseded renders warnings, and none has a uri', () => {
    const failed = { type: 'RenderFailed', generator: 'mock', code: 'render_timeout', message: 'Too slow.' };
    const cancelled = { type: 'RenderCancelled', generator: 'mock', code: 'superseded', message: 'Newer.' };
    expect(alert.parse(toBusMessage(event({ ...failed, retryable: true })))).toEqual({
      type: 'Alert',
      request_id: 'r1',
      severity: 'error',
      code: 'render_timeout',
      message: 'Too slow.',
    });
    expect(alert.parse(toBusMessage(event(cancelled)))).toMatchObject({ severity: 'warning', code: 'superseded' });
  });

  test('other events are not for the bus', () => {
    expect(toBusMessage(event({ type: 'RenderStarted', generator: 'mock', attempt: 1 }))).toBeUndefined();
    expect(toBusMessage(event({ type: 'ServerDraining' }))).toBeUndefined();
  });
});

/** Random whole numbers below a bound, the same in every run. */
function mulberry32(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}
