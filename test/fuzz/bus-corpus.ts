import { pythonRenderRequest } from '../fakes/core-peer.ts';

/** Random numbers that are the same for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const good = (id: string) => pythonRenderRequest({ request_id: id, seed: 7, depth_map: Buffer.from('not an image') });

/** Values that peers, languages and attackers put where something else belongs; as JSON, or nearly. */
const VALUES = [
  ...['null', 'true', 'false', '0', '-0', '-1', '1e999', '-1e999', '1e-400', 'NaN', 'Infinity', '-Infinity', '512.5'],
  ...[
    '"512"',
    '"true"',
    '""',
    '" "',
    '"\\u0000"',
    '"\\ud800"',
    '"\\udfff\\ud800"',
    '"é"',
    '"🌊"',
    '"../../etc/passwd"',
  ],
  ...['[]', '{}', '[[]]', '{"a":{}}', '[null]', '{"image_data":null,"uri":null}', '{"image_data":5}', '{"uri":[]}'],
  ...['{"image_data":"data:image/png;base64,AAAA"}', '{"uri":"file:///etc/passwd"}', '{"uri":"/dev/zero"}'],
  ...[
    '{"uri":"file:///tmp/%20 x"}',
    '{"uri":"http://127.0.0.1/x"}',
    '{"__proto__":{"x":1}}',
    '9007199254740993',
    "'x'",
  ],
  ...[
    'undefined',
    '0x10',
    '01',
    '.5',
    '5.',
    '+1',
    '"\\x41"',
    '"unterminated',
    '1'.repeat(400),
    `"${'x'.repeat(20_000)}"`,
  ],
];

const WELL_FORMED = VALUES.filter((text) => isJson(text));

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

const KEYS = [
  ...[
    'type',
    'request_id',
    'prompt',
    'negative_prompt',
    'generator',
    'style',
    'width',
    'height',
    'seed',
    'era',
    'biome',
  ],
  ...[
    'reference_image',
    'depth_map',
    'depth_map_png',
    'clear_queue',
    'strength',
    'num_images',
    'steps',
    'loras',
    'mask',
  ],
  ...[
    'metadata',
    'priority',
    'timeout_s',
    'quality',
    'output_format',
    'unknown',
    '__proto__',
    'constructor',
    'toString',
  ],
];

/** Whole messages that broke something once, here or elsewhere: each a list of frames. */
export const CORPUS: readonly (readonly Uint8Array[])[] = [
  [''],
  ['', ''],
  ['RenderRequest', good('x')],
  [`RenderRequest ${good('x')}`],
  [`MessageType.RENDER_REQUEST ${good('x')}`],
  [good('x'), good('x')],
  [good('x'), good('x'), good('x'), good('x'), good('x')],
  ['null'],
  ['[]'],
  ['"RenderRequest"'],
  ['{'],
  ['{}'],
  ['{"type":"RenderRequest"}'],
  ['{"type":"renderrequest","request_id":"x"}'],
  ['{"type":["RenderRequest"],"request_id":"x"}'],
  ['{"type":"RenderRequest","type":"Alert","request_id":"x"}'],
  ['{"type":"AudioRenderRequest","request_id":"x_audio","prompt":"wind"}'],
  ['{"type":"Alert","request_id":"x"}'],
  ['{"type":"SpaceTimeUpdate","era":5}'],
  [`{"a":${'['.repeat(5000)}${']'.repeat(5000)}}`],
  ['['.repeat(50_000)],
  [`{"request_id":"${'x'.repeat(5000)}","type":"RenderRequest"}`],
  [`\ufeff${good('x')}`],
  [good('x').replaceAll('"', "'")],
  [`${good('x')}${good('x')}`],
  [`${good('x')}\n`],
  [good('x').replace('"style":null', '"style":NaN')],
  [good('x').replace('null', 'None')],
  ['{"__proto__":{"type":"RenderRequest"},"request_id":"x"}'],
].map((frames) => frames.map((frame) => Buffer.from(frame)));

/** A message that is wrong in some way, or by chance right. */
export function randomMessage(random: () => number, id: string): readonly Uint8Array[] {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const kind = random();
  if (kind < 0.1) return pick(CORPUS);
  if (kind < 0.2) return [Uint8Array.from({ length: Math.floor(random() * 200) }, () => Math.floor(random() * 256))];
  let text = good(id);
  if (kind < 0.7) {
    // Fields with values of another kind, some twice.
    const fields = Array.from(
      { length: 1 + Math.floor(random() * 3) },
      () => `"${pick(KEYS)}":${pick(random() < 0.9 ? WELL_FORMED : VALUES)}`,
    );
    text = random() < 0.5 ? `{${fields.join()},${text.slice(1)}` : `${text.slice(0, -1)},${fields.join()}}`;
  }
  const bytes = Buffer.from(random() < 0.1 ? `RenderRequest ${text}` : text);
  if (kind >= 0.7 && kind < 0.75) return [bytes.subarray(0, Math.floor(random() * bytes.length))];
  if (kind > 0.85) {
    for (let flips = 1 + random() * 4; flips > 0; flips -= 1) {
      bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
    }
  }
  if (random() < 0.05) return [bytes, Buffer.from(pick(VALUES))];
  return [bytes];
}
