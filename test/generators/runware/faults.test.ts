import { describe, expect, it } from 'vitest';
import { AppError } from '../../../src/errors.ts';
import { meaningOf } from '../../../src/generators/runware/failures.ts';
import { runwareError } from '../../fakes/runware-server.ts';
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
  truncated,
} from '../../fakes/scripted-upstream.ts';
import { solidPng } from '../../fakes/solid-png.ts';
import { ManualClock } from '../../manual-clock.ts';
import { startMute } from '../remote/fixtures.ts';
import { startRun } from '../run.ts';
import { makeWork } from '../work.ts';
import { runwareGenerator, startRunware } from './fixtures.ts';

const work = makeWork({ width: 512, height: 512 });
const image = await solidPng(work, 7);
const upstreamText = /UPSTREAM-TEXT|rw-test/;

async function failureOf(images: Promise<unknown>): Promise<unknown> {
  const error = await images.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(AppError);
  expect(String(error)).not.toMatch(upstreamText);
  return error;
}

describe('a submit to Runware', () => {
  it.each([
    ['429 with a time', rateLimited('7'), { code: 'upstream_rate_limited', retryable: true, retryAfterMs: 7000 }],
    ['429 without a time', rateLimited(), { code: 'upstream_rate_limited', retryable: true }],
    ['500', failing(500), { code: 'upstream_failed', retryable: true }],
    ['503', html(503), { code: 'upstream_failed', retryable: true }],
    ['400 for a parameter', runwareError(400, 'invalidSteps'), { code: 'upstream_failed', retryable: false }],
    ['400 that says nothing', failing(400), { code: 'upstream_failed', retryable: false }],
    ['a refusal', runwareError(400, 'contentPolicyViolation'), { code: 'content_rejected', retryable: false }],
    ['a revoked key', runwareError(401, 'invalidApiKey'), { code: 'upstream_auth', retryable: false }],
    ['an empty account', runwareError(402, 'insufficientCredits'), { code: 'upstream_auth', retryable: false }],
    ['a redirect', redirect('http://127.0.0.1:9/'), { code: 'upstream_failed', retryable: false }],
  ])('that is answered with %s fails as such, once', async (_name, behaviour, failure) => {
    const { server, generator } = await startRunware();
    server.plan('submit', behaviour);
    const run = startRun(generator, work);
    expect(await failureOf(run.images)).toMatchObject(failure);
    expect([server.submits, server.count('look'), run.costs]).toEqual([1, 0, []]);
  });

  /** Takes the tasks, and does `then` instead of saying so. */
  const taken = (server: { take: Behaviour }, then: Behaviour): Behaviour => {
    return (response, request) => {
      server.take(response, request);
      then(response, request);
    };
  };

  it.each([
    ['a broken connection', reset()],
    ['half an answer', truncated(Buffer.from('{"data":[]}'), 'application/json')],
    ['the 504 of a gateway', html(504)],
    ['a page', html()],
    ['nothing', file(Buffer.of(), 'application/json')],
    ['JSON of another form', json({ ok: true })],
    ['a gigabyte', flood(2 ** 30, 'application/json')],
  ])('that is answered with %s is looked for, and not made again', async (_name, behaviour) => {
    const { server, generator } = await startRunware();
    server.plan('submit', taken(server, behaviour));
    expect(await startRun(generator, work).images).toHaveLength(1);
    expect(server.submits).toBe(1);
  });

  it.each([
    [false, false],
    [true, true],
  ])(
    'that never arrived has an unknown outcome; with resubmit_unknown = %s retryable is %s',
    async (allowed, retryable) => {
      const { server, generator } = await startRunware({ config: { resubmit_unknown: allowed } });
      server.plan('submit', reset());
      const run = startRun(generator, work);
      expect(await failureOf(run.images)).toMatchObject({ code: 'outcome_unknown', retryable });
      expect([server.submits, server.count('look')]).toEqual([1, 5]);
    },
  );

  it('whose id is taken already has arrived before', async () => {
    const { server, generator } = await startRunware();
    server.plan(
      'submit',
      taken(server, (response, { body }) => {
        const [{ taskUUID }] = JSON.parse(body.toString());
        response.writeHead(400, { 'content-type': 'application/json' });
        response.end(JSON.stringify({ errors: [{ code: 'conflictTaskUUID', taskUUID }] }));
      }),
    );
    expect(await startRun(generator, work).images).toHaveLength(1);
  });

  it('of which only some tasks are refused is final, for the others are paid', async () => {
    const { server, generator } = await startRunware();
    server.plan('submit', (response, { body }) => {
      const [first, second] = JSON.parse(body.toString());
      const errors = [{ code: 'noAvailableServer', taskUUID: second.taskUUID }];
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ data: [{ taskType: 'imageInference', taskUUID: first.taskUUID }], errors }));
    });
    const run = startRun(generator, { ...work, numImages: 2 });
    expect(await failureOf(run.images)).toMatchObject({ code: 'upstream_failed', retryable: false });
  });

  it('that is stopped before it could leave was not made', async () => {
    const mute = await startMute();
    const clock = new ManualClock();
    const generator = runwareGenerator({ baseUrl: mute.url }, { clock });
    const stop = new AbortController();
    const run = startRun(generator, work, { stop });
    await mute.accepted;
    expect(run.noted).toBeDefined();
    stop.abort('enough');
    await expect(run.images).rejects.toBe('enough');
    expect([run.detached, run.noted]).toEqual([false, undefined]);
  });

  it('to a server that refuses connections was not made, so it may be made again', async () => {
    const { server, generator } = await startRunware();
    await server.close();
    expect(await failureOf(startRun(generator, work).images)).toMatchObject({
      code: 'upstream_failed',
      retryable: true,
    });
  });
});

describe('a task that Runware has', () => {
  it('is looked for as long as it takes, whatever happens to the looks', async () => {
    const { server, generator } = await startRunware();
    server.plan('look', failing(500), reset(), rateLimited('0'), html(502), html(), json({ data: [] }));
    expect(await startRun(generator, work).images).toHaveLength(1);
    expect(server.submits).toBe(1);
  });

  it('goes on after a restart, without a submit', async () => {
    const { server, generator } = await startRunware({ server: { looks: 4 } });
    const stop = new AbortController();
    const draining = new AppError('draining', 'The server is stopping.');
    const run = startRun(generator, work, { stop, reactions: { onProgress: () => stop.abort(draining) } });
    await expect(run.images).rejects.toBe(draining);
    expect(run.detached).toBe(false);

    const next = runwareGenerator(server);
    await next.start();
    const resumed = startRun(next, work, { remoteId: run.remoteIds[0] ?? '' });
    expect(await resumed.images).toHaveLength(1);
    // Journalled with this try as well, which may be broken off too.
    expect(resumed.remoteIds).toEqual([run.remoteIds[0]]);
    expect(server.submits).toBe(1);
  });

  it('is lost when Runware knows nothing of it after a restart', async () => {
    const { server, generator } = await startRunware();
    const run = startRun(generator, work, { remoteId: '00000000-0000-4000-8000-000000000000' });
    expect(await failureOf(run.images)).toMatchObject({ code: 'outcome_unknown', retryable: false });
    expect(server.submits).toBe(0);
  });

  it.each([
    ['timeoutProvider', { code: 'upstream_failed', retryable: true }],
    ['providerContentPolicyViolation', { code: 'content_rejected', retryable: false }],
    ['inferenceRateLimitExceeded', { code: 'upstream_rate_limited', retryable: true }],
    ['<script>alert(1)</script>', { code: 'upstream_failed', retryable: true }],
  ])('and fails with %s fails as such', async (code, failure) => {
    const { server, generator } = await startRunware();
    server.fail(code);
    const error = await failureOf(startRun(generator, work).images);
    expect(error).toMatchObject(failure);
    expect(String(error)).not.toContain('<');
  });

  it('is rejected, and paid, when its image is flagged', async () => {
    const { server, generator } = await startRunware({ config: { check_content: true } });
    server.flag();
    const run = startRun(generator, work);
    expect(await failureOf(run.images)).toMatchObject({ code: 'content_rejected', retryable: false });
    expect(run.costs).toEqual([0.0013]);
  });

  it.each([
    ['never answers', hang()],
    ['answers a byte at a time', drip()],
  ])('is left at the deadline when Runware %s, and may go on', async (_name, behaviour) => {
    const { server, generator } = await startRunware();
    server.plan('look', behaviour);
    const stop = new AbortController();
    const reason = new AppError('render_timeout', 'The render took too long.');
    const run = startRun(generator, work, { stop });
    await server.received('look', 1);
    stop.abort(reason);
    await expect(run.images).rejects.toBe(reason);
    expect(run.detached).toBe(true);
  });
});

describe('an image at Runware', () => {
  async function fetchWith(...behaviours: Behaviour[]) {
    const { server, generator } = await startRunware();
    server.plan('file', ...behaviours);
    const run = startRun(generator, work);
    const settled = await run.images.then(
      (images) => ({ images, error: undefined }),
      (error: unknown) => ({ images: undefined, error }),
    );
    expect(server.submits).toBe(1);
    expect(run.costs).toEqual([0.0013]);
    return { ...settled, looks: server.count('look'), downloads: server.count('file') };
  }

  it('is fetched again when its transfer breaks off', async () => {
    expect(await fetchWith(truncated(image), failing(503))).toMatchObject({ images: [{}], downloads: 3 });
  });

  it('whose link has expired is asked for once more', async () => {
    expect(await fetchWith(failing(403))).toMatchObject({ images: [{}], looks: 3, downloads: 2 });
  });

  it.each([
    ['gone for good', [failing(404), failing(404)], 'result_expired'],
    ['a page', [html()], 'invalid_output'],
    ['nothing', [file(Buffer.of())], 'invalid_output'],
    ['a gigabyte', [flood(2 ** 30)], 'invalid_output'],
    ['a redirect to loopback', [redirect('http://127.0.0.1:9/')], 'unsafe_result_url'],
  ])('is paid, and not drawn again, when it is %s', async (_name, behaviours, code) => {
    const { error } = await fetchWith(...behaviours);
    expect(error).toMatchObject({ code, retryable: false });
    expect(String(error)).not.toMatch(upstreamText);
  });

  it('that was cut off is given on as it came: whoever decodes it finds out', async () => {
    const { images = [] } = await fetchWith(cutShort(image));
    expect(images).toMatchObject([{ kind: 'encoded' }]);
  });
});

describe('an error’s code', () => {
  it.each([
    ['rejected', ['contentPolicyViolation', 'nsfwContentDetected', 'promptBlocked', 'moderationFailed']],
    ['taken', ['conflictTaskUUID']],
    ['lost', ['taskNotFound', 'taskFailedOrNotFound', 'taskExpired']],
    ['busy', ['rateLimitExceeded', 'providerRateLimitExceeded']],
    ['refused', ['invalidApiKey', 'missingApiKey', 'unauthorized', 'accountSuspended', 'insufficientCredits']],
    ['wrong', ['invalidPositivePrompt', 'unsupportedParameter', 'valueTooLarge', 'modelNotFound', 'validationFailed']],
    ['failed', ['providerError', 'providerAuthenticationFailed', 'timeout', 'internalServerError', 'somethingNew']],
  ])('means %s by its words', (meaning, codes) => {
    expect(codes.map((code) => [code, meaningOf(code)])).toEqual(codes.map((code) => [code, meaning]));
  });
});
