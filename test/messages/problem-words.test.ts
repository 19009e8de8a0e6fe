import { describe, expect, it } from 'vitest';
import { AppError } from '../../src/errors.ts';
import { renderRequestFields } from '../../src/messages/fields.ts';
import { parseTolerantRequest, strictRenderRequest, toFieldIssues } from '../../src/messages/render-request.ts';

const prompt = 'a delta';
const text = (range: string) => `must be text of ${range} characters`;
const whole = (range: string) => `must be a whole number ${range}`;
const REQUEST_ID = 'must be text of 1 to 128 characters of A-Z a-z 0-9 . _ : -';
const SECONDS = 'must be a number of seconds above 0 and at most 86400';
const LORAS = 'must be a list of at most 16 objects {path, scale}';
const SURROGATE = 'must be Unicode text: it has half of a surrogate pair';
const SOURCE = 'must be an object with image_data or uri';
const EITHER = 'must have either image_data or uri';

/** A field, a bad value of it, and all that is said about it: by path where that is another than the field. */
const WORDS: readonly (readonly [string, unknown, string | Record<string, string>])[] = [
  ['request_id', 7, REQUEST_ID],
  ['request_id', '', REQUEST_ID],
  ['prompt', undefined, 'is required'],
  ['prompt', null, text('1 to 10000')],
  ['prompt', 7, text('1 to 10000')],
  ['prompt', 'x'.repeat(10_001), text('1 to 10000')],
  ['prompt', ' ', 'must not be blank'],
  ['prompt', '\ud800', SURROGATE],
  ['negative_prompt', [], text('at most 10000')],
  ['negative_prompt', 'x'.repeat(10_001), text('at most 10000')],
  ['generator', 7, text('1 to 128')],
  ['generator', '', text('1 to 128')],
  ['width', '512', whole('from 64 to 4096')],
  ['width', 512.5, whole('from 64 to 4096')],
  ['width', Number.POSITIVE_INFINITY, whole('from 64 to 4096')],
  ['height', 63, whole('from 64 to 4096')],
  ['seed', {}, whole('from 0 to 4294967295')],
  ['num_images', 11, whole('from 1 to 10')],
  ['steps', true, whole('from 1 to 1000')],
  ['guidance_scale', '7', 'must be a number from 0 to 100'],
  ['strength', 1.1, 'must be a number from 0 to 1'],
  ['style', 7, text('1 to 200')],
  ['loras', 'a', LORAS],
  ['loras', Array(17).fill({ path: 'a', scale: 1 }), LORAS],
  ['loras', ['a'], { 'loras.0': 'must be an object {path, scale}' }],
  ['loras', [{}], { 'loras.0.path': 'is required', 'loras.0.scale': 'is required' }],
  [
    'loras',
    [{ path: 7, scale: 11 }],
    { 'loras.0.path': text('1 to 1000'), 'loras.0.scale': 'must be a number from -10 to 10' },
  ],
  ['loras', [{ path: 'a', scale: 1, x: 1 }], { 'loras.0.x': 'is not a known field' }],
  ['reference_image', 'a', SOURCE],
  ['depth_map', [], SOURCE],
  ['depth_map', {}, EITHER],
  ['depth_map', { image_data: null, uri: null }, EITHER],
  ['mask', { image_data: 'a', uri: 'b' }, EITHER],
  ['mask', { image_data: 7 }, { 'mask.image_data': 'must be text that is not empty' }],
  ['mask', { uri: '' }, { 'mask.uri': 'must be text that is not empty' }],
  ['mask', { uri: 'a', url: 'b' }, { 'mask.url': 'is not a known field' }],
  ['era', 7, text('1 to 64')],
  ['biome', '', text('1 to 64')],
  ['output_format', 'gif', 'must be one of png, jpeg, webp, avif'],
  ['output_format', 7, 'must be one of png, jpeg, webp, avif'],
  ['quality', 0, whole('from 1 to 100')],
  ['priority', 11, whole('from -10 to 10')],
  ['timeout_s', '5', SECONDS],
  ['timeout_s', 0, SECONDS],
  ['timeout_s', 86_401, SECONDS],
  ['queue_timeout_s', 0, SECONDS],
  ['cache', 'maybe', 'must be one of use, refresh, off'],
  ['fallback', 'maybe', 'must be true or false'],
  ['clear_queue', 'maybe', 'must be true or false'],
  ['metadata', 'a', 'must be an object of texts'],
  ['metadata', [], 'must be an object of texts'],
  ['metadata', { a: 7 }, { 'metadata.a': text('at most 1024') }],
  ['metadata', { a: 'x'.repeat(1025) }, { 'metadata.a': text('at most 1024') }],
  ['metadata', { '': 'a' }, { 'metadata.': 'must have keys of 1 to 64 Unicode characters' }],
  ['metadata', Object.fromEntries(Array.from({ length: 17 }, (_, at) => [`${at}`, ''])), 'must have at most 16 keys'],
];

function strictIssues(value: unknown): Record<string, string> {
  const issues = toFieldIssues(strictRenderRequest.safeParse(value).error?.issues ?? []);
  return Object.fromEntries(issues.map(({ path, message }) => [path, message]));
}

function tolerantIssues(value: unknown): Record<string, string> {
  try {
    parseTolerantRequest(value);
    return {};
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return Object.fromEntries(error.issues.map(({ path, message }) => [path, message]));
  }
}

describe('what is said about a bad value', () => {
  it('has a row for every field', () => {
    expect([...new Set(WORDS.map(([name]) => name))]).toEqual(Object.keys(renderRequestFields));
  });

  it.each(WORDS)('is in our words: %s %j', (name, value, said) => {
    const expected = typeof said === 'string' ? { [name]: said } : said;
    expect(strictIssues({ prompt, [name]: value })).toEqual(expected);
  });

  it('is in our words when the whole is no object', () => {
    for (const value of [undefined, null, 7, 'prompt', true, [], [{ prompt }]]) {
      expect(strictIssues(value)).toEqual({ '': 'must be an object' });
      expect(tolerantIssues(value)).toEqual({ '': 'must be an object' });
    }
  });

  it('is in the same words on the bus', () => {
    expect(tolerantIssues({ request_id: 7, prompt: 7, width: 'wide', clear_queue: 'maybe', depth_map: 'a' })).toEqual({
      request_id: 'must be text of 1 to 4096 characters',
      prompt: text('1 to 10000'),
      width: whole('from 64 to 4096'),
      clear_queue: 'must be true or false',
      depth_map: SOURCE,
    });
    expect(tolerantIssues({})).toEqual({ prompt: 'is required' });
  });

  it('is never in the words of a library, whatever the value', () => {
    const values = [
      null,
      true,
      7,
      -1,
      0.5,
      Number.POSITIVE_INFINITY,
      Number.NaN,
      '',
      'a',
      '\ud800',
      'x'.repeat(20_000),
      [],
      [7],
      [[]],
    ];
    const objects = [{}, { path: 7 }, { image_data: 7, uri: 7 }, { image_data: null }, { '': '' }, { a: {} }];
    for (const name of Object.keys(renderRequestFields)) {
      for (const value of [...values, ...objects, [{ path: '', scale: null }]]) {
        const request = { prompt, [name]: value };
        for (const [path, message] of [
          ...Object.entries(strictIssues(request)),
          ...Object.entries(tolerantIssues(request)),
        ])
          expect(message, path).toMatch(/^(must (be|have|not be) |is required$|is not a known field$)/);
      }
    }
  });
});
