import { describe, expect, it } from 'vitest';
import { AppError } from '../../../src/errors.ts';
import { openaiError } from '../../fakes/openai-server.ts';
import type { Behaviour } from '../../fakes/scripted-upstream.ts';
import {
  cutShort,
  drip,
  failing,
  file,
  flood,
  hang,
  html,
  json,
  rateLimited,
  redirect,
  reset,
  startScriptedUpstream,
  truncated,
} from '../../fakes/scripted-upstream.ts';
import { solidPng } from '../../fakes/solid-png.ts';
import { startMute } from '../remote/fixtures.ts';
import { startRun } from '../run.ts';
import { makeWork } from '../work.ts';
import { openaiGenerator, startOpenAI } from './fixtures.ts';

const work = makeWork({ width: 1024, height: 1024 });
const image = await solidPng(work, 1);
const answer = { created: 1, data: [{ b64_json: image.toString('base64') }] };
const answerBytes = Buffer.from(JSON.stringify(answer));
const upstreamText = /UPSTREAM-TEXT|sk-test/;

/** How one try ends, and what it left. */
async function tryOnce(behaviour: Behaviour) {
  const { server, generator } = await startOpenAI();
  server.plan('generate', behaviour);
  const run = startRun(generator, work);
  const error = await run.images.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(AppError);
  expect(String(error)).not.toMatch(upstreamText);
  // One submit, whatever happens: tries belong to the core.
  expect(server.submits).toBe(1);
  return { error, run, outcomes: generator.outcomes };
}

describe('OpenAI', () => {
  it.each([
    ['429 with a time', rateLimited('7'), { code: 'upstream_rate_limited', retryable: true, retryAfterMs: 7000 }],
    ['429 without a time', rateLimited(), { code: 'upstream_rate_limited', retryable: true, retryAfterMs: undefined }],
    ['429 for lack of credit', openaiError(429, 'insufficient_quota'), { code: 'upstream_auth', retryable: false }],
    ['500', failing(500), { code: 'upstream_failed', retryable: true }],
    ['503', failing(503), { code: 'upstream_failed', retryable: true }],
    ['503 as a page', html(503), { code: 'upstream_failed', retryable: true }],
    ['502 of a gateway', failing(502), { code: 'outcome_unknown', retryable: false }],
    ['504 of a gateway', html(504), { code: 'outcome_unknown', retryable: false }],
    ['400', openaiError(400, 'invalid_value', 'size'), { code: 'upstream_failed', retryable: false }],
    ['a refusal', openaiError(400, 'moderation_blocked'), { code: 'content_rejected', retryable: false }],
    ['a refusal of old', openaiError(400, 'content_policy_violation'), { code: 'content_rejected', retryable: false }],
    ['a revoked key', openaiError(401, 'invalid_api_key'), { code: 'upstream_auth', retryable: false }],
    ['a key without the right', failing(403), { code: 'upstream_auth', retryable: false }],
    ['a page with status 200', html(), { code: 'invalid_output', retryable: false }],
    ['nothing with status 200', file(Buffer.of(), 'application/json'), { code: 'invalid_output', retryable: false }],
    ['an image where JSON should be', file(image), { code: 'invalid_output', retryable: false }],
    ['JSON of another form', json({ images: [] }), { code: 'invalid_output', retryable: false }],
    ['no image', json({ data: [] }), { code: 'invalid_output', retryable: false }],
    ['a page as base64', json({ data: [{ b64_json: 'PGh0bWw+' }] }), { code: 'invalid_output', retryable: false }],
    ['no base64', json({ data: [{ b64_json: '%%%' }] }), { code: 'invalid_output', retryable: false }],
    ['a broken connection', reset(), { code: 'outcome_unknown', retryable: false }],
    ['half an answer', truncated(answerBytes, 'application/json'), { code: 'outcome_unknown', retryable: false }],
    ['half as if it were all', cutShort(answerBytes, 'application/json'), { code: 'invalid_output', retryable: false }],
    ['a redirect', redirect('http://127.0.0.1:9/'), { code: 'upstream_failed', retryable: false }],
  ])('that answers with %s fails as such, once', async (_name, behaviour, failure) => {
    const { error } = await tryOnce(behaviour);
    expect(error).toMatchObject(failure);
  });

  it('is tried again after an unknown outcome where the operator allows that', async () => {
    const { server, generator } = await startOpenAI({ config: { resubmit_unknown: true } });
    server.plan('generate', reset());
    const run = startRun(generator, work);
    await expect(run.images).rejects.toMatchObject({ code: 'outcome_unknown', retryable: true });
  });

  it('that refuses connections was not asked, so it may be asked again', async () => {
    const { server, generator } = await startOpenAI();
    await server.close();
    const run = startRun(generator, work);
    await expect(run.images).rejects.toMatchObject({ code: 'upstream_failed', retryable: true });
    expect([run.detached, generator.outcomes]).toEqual([false, ['network']]);
  });

  it('that sends a gigabyte is left after 32 MiB, without filling the memory', async () => {
    const before = process.memoryUsage().rss;
    const { error, outcomes } = await tryOnce(flood(2 ** 30, 'application/json'));
    expect(error).toMatchObject({ code: 'invalid_output', retryable: false });
    expect(outcomes).toEqual(['invalid']);
    expect(process.memoryUsage().rss - before).toBeLessThan(128 * 2 ** 20);
  });

  it.each([
    ['never answers', hang()],
    ['answers a byte at a time', drip()],
  ])('that %s is left at the deadline, and may go on', async (_name, behaviour) => {
    const { server, generator } = await startOpenAI();
    server.plan('generate', behaviour);
    const stop = new AbortController();
    const reason = new AppError('render_timeout', 'The render took too long.');
    const run = startRun(generator, work, { stop });
    await server.received('generate', 1);
    stop.abort(reason);
    await expect(run.images).rejects.toBe(reason);
    expect([run.detached, generator.outcomes]).toEqual([true, ['cancelled']]);
  });

  it('was not asked as long as no connection was ready', async () => {
    const mute = await startMute();
    const generator = openaiGenerator({ baseUrl: mute.url });
    await generator.start();
    const stop = new AbortController();
    const run = startRun(generator, work, { stop });
    await mute.accepted;
    expect(run.noted).toBeDefined();
    stop.abort('enough');
    await expect(run.images).rejects.toBe('enough');
    expect([run.detached, run.noted]).toEqual([false, undefined]);
  });

  it('is not asked again for work that was under way when the server died', async () => {
    const { server, generator } = await startOpenAI();
    const run = startRun(generator, work, { remoteId: 'an-earlier-request' });
    await expect(run.images).rejects.toMatchObject({ code: 'outcome_unknown', retryable: false });
    expect([server.requests, run.remoteIds]).toEqual([[], []]);

    const bold = openaiGenerator(server, { config: { resubmit_unknown: true } });
    await bold.start();
    expect(await startRun(bold, work, { remoteId: 'an-earlier-request' }).images).toHaveLength(1);
  });
});

describe('an image that OpenAI links to', () => {
  /** Work whose answer links to images, of which the first are served like this. */
  async function fetchWith(...behaviours: Behaviour[]) {
    const { server, generator } = await startOpenAI({ server: { links: true } });
    server.plan('file', ...behaviours);
    const run = startRun(generator, work);
    const settled = await run.images.then(
      (images) => ({ images, error: undefined }),
      (error: unknown) => ({ images: undefined, error }),
    );
    expect(server.submits).toBe(1);
    return { ...settled, downloads: server.count('file'), costs: run.costs };
  }

  it('is fetched again when its transfer breaks off, without another submit', async () => {
    expect(await fetchWith(truncated(image), failing(503))).toMatchObject({ images: [{}], downloads: 3 });
  });

  it.each([
    ['forbidden', failing(403), 'result_expired'],
    ['gone', failing(404), 'result_expired'],
    ['a page', html(), 'invalid_output'],
    ['a gigabyte', flood(2 ** 30), 'invalid_output'],
    ['a redirect to loopback', redirect('http://127.0.0.1:9/'), 'unsafe_result_url'],
  ])('is paid, and not asked for again, when it is %s', async (_name, behaviour, code) => {
    const { error, costs } = await fetchWith(behaviour);
    expect(error).toMatchObject({ code, retryable: false });
    expect(String(error)).not.toMatch(upstreamText);
    expect(costs).toHaveLength(1);
  });

  it('is fetched from no other place', async () => {
    const other = await startScriptedUpstream(() => ({ name: 'any' as const, answer: file(image) }));
    const { server, generator } = await startOpenAI();
    server.plan('generate', json({ data: [{ url: `${other.url}/image.png` }] }));
    await expect(startRun(generator, work).images).rejects.toMatchObject({ code: 'unsafe_result_url' });
    expect(other.requests).toEqual([]);
    await other.close();
  });
});
