import { describe, expect, it, onTestFinished } from 'vitest';
import { AppError } from '../../src/errors.ts';
import { createLog } from '../../src/observe/log.ts';
import { pythonRenderRequest, startCorePeer } from '../fakes/core-peer.ts';
import { startApp } from '../helper.ts';

type Level = Parameters<typeof createLog>[0]['level'];

function logTo(lines: string[], options: { level?: Level; pretty?: boolean } = {}) {
  const target = { write: (line: string) => void lines.push(line) };
  return createLog({ level: options.level ?? 'info', pretty: options.pretty ?? false, target });
}

describe('the log', () => {
  it('writes one JSON line for each call, with an ISO time and a level by name', () => {
    const lines: string[] = [];
    const log = logTo(lines);
    log.info({ seq: 7 }, 'something\nhappened');
    log.debug({}, 'not this');
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^\{.*\}\n$/);
    const line = JSON.parse(lines[0] ?? '');
    expect(line).toEqual({ level: 'info', time: line.time, seq: 7, msg: 'something\nhappened' });
    expect(new Date(line.time).toISOString()).toBe(line.time);
  });

  it('replaces keys, wherever they stand', () => {
    const lines: string[] = [];
    const secrets = ['authorization', 'cookie', 'api_key', 'apiKey', 'key', 'token', 'password', 'credentials'];
    const log = logTo(lines);
    for (const name of secrets) {
      const secret = { [name]: 's3cret', plain: 'seen' };
      log.info(secret, 'top');
      log.info({ a: secret }, 'one below');
      log.info({ a: { b: secret } }, 'two below');
      log.info({ a: { b: { c: secret } } }, 'three below');
      log.info({ list: [secret] }, 'in a list');
      log.info({ headers: { ...secret } }, 'in headers');
      log.child({ [name]: 's3cret' }).info({}, 'of a child');
      log.info({ err: Object.assign(new Error('failed'), secret) }, 'of an error');
      log.info({ [name]: { deep: 's3cret' } }, 'an object');
      log.info({ [name]: null }, 'nothing');
    }
    expect(lines).toHaveLength(secrets.length * 10);
    for (const line of lines) expect(line).not.toContain('s3cret');
    expect(lines.filter((line) => line.includes('[redacted]')).length).toBeGreaterThanOrEqual(secrets.length * 9);
    expect(lines.filter((line) => line.includes('seen')).length).toBe(secrets.length * 7);
  });

  it('changes nothing in what it was given', () => {
    const given = { a: { token: 's3cret' } };
    logTo([]).info(given, 'said');
    expect(given).toEqual({ a: { token: 's3cret' } });
  });

  it('tells an error with its cause', () => {
    const lines: string[] = [];
    const cause = new Error('the inner one');
    logTo(lines).error({ err: new AppError('storage_failed', 'The outer one.', { cause }) }, 'failed');
    const { err } = JSON.parse(lines[0] ?? '');
    expect(err.message).toContain('The outer one.');
    expect(err.message).toContain('the inner one');
    expect(err.code).toBe('storage_failed');
    expect(err.stack).toContain('log.test.ts');
  });

  it('writes for people on a terminal', () => {
    const lines: string[] = [];
    const log = logTo(lines, { pretty: true });
    log.warn({ render_id: 'r-1', api_key: 's3cret' }, 'the render failed');
    const text = lines.join('');
    expect(text).toContain('WARN');
    expect(text).toContain('the render failed');
    expect(text).toContain('r-1');
    expect(text).not.toContain('s3cret');
    expect(() => JSON.parse(text)).toThrow();
    expect(text.endsWith('\n')).toBe(true);
  });

  it('writes nothing when it is silent', () => {
    const lines: string[] = [];
    logTo(lines, { level: 'silent' }).fatal({}, 'nobody hears');
    expect(lines).toEqual([]);
  });
});

describe('the log of a render', () => {
  const PROMPT = 'Heliotrope zeppelins';
  const NEGATIVE = 'Vermilion parking lots';

  /** Lines that stand in the log at the level info. */
  function seen(lines: readonly Record<string, unknown>[]): Record<string, unknown>[] {
    return lines.filter(({ level }) => level !== 'debug' && level !== 'trace');
  }

  it('tells every step with request_id and render_id, and never a word of the prompts', async () => {
    const app = await startApp();
    const { body } = await app.render({
      prompt: PROMPT,
      negative_prompt: NEGATIVE,
      request_id: 'visitor-7',
      width: 64,
      height: 64,
      metadata: { note: 'Heliotrope' },
    });
    await app.call('POST', '/v1/renders', { prompt: PROMPT, width: 1 });
    await app.call('POST', '/v1/renders', { prompt: PROMPT, request_id: 'visitor-7' });
    await app.call('POST', '/v1/renders', { prompt: PROMPT, generator: 'none' });
    const lines = seen(app.lines);
    for (const sentence of ['render queued', 'render started', 'attempt ended', 'image ready']) {
      const line = lines.find(({ msg }) => msg === sentence);
      expect(line, sentence).toMatchObject({
        request_id: 'visitor-7',
        render_id: body.id,
        door: 'rest',
        level: 'info',
      });
    }
    expect(JSON.stringify(lines)).not.toMatch(/heliotrope|zeppelins|vermilion|parking/i);
  });

  it('tells failures and refusals on the bus without the prompt as well', async () => {
    const core = await startCorePeer();
    onTestFinished(() => core.close());
    const app = await startApp({ config: { bus: { enabled: true, requests: core.requests, results: core.results } } });
    await core.send(pythonRenderRequest({ request_id: 'b-1', prompt: PROMPT, width: 64, height: 64 }));
    await core.answerTo('b-1');
    await core.send(pythonRenderRequest({ request_id: 'b-2', prompt: PROMPT, era: 'jurassic' }));
    await core.answerTo('b-2');
    await core.send(`{"type":"RenderRequest","request_id":"b-3","prompt":"${PROMPT}"`);
    await core.answerTo('b-3');
    const lines = seen(app.lines);
    expect(lines.find(({ msg }) => msg === 'image ready')).toMatchObject({ request_id: 'b-1', door: 'bus' });
    expect(JSON.stringify(lines)).not.toMatch(/heliotrope|zeppelins/i);
  });
});
