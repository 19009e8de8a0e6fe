import { once } from 'node:events';
import { createServer } from 'node:net';
import { inspect } from 'node:util';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { AppError } from '../../../src/errors.ts';
import type { FalServer, FalServerOptions } from '../../fakes/fal-server.ts';
import { startFalServer } from '../../fakes/fal-server.ts';
import type { Behaviour } from '../../fakes/scripted-upstream.ts';
import {
  drip,
  failing,
  file,
  flood,
  hang,
  html,
  json,
  later,
  rateLimited,
  redirect,
  reset,
  truncated,
} from '../../fakes/scripted-upstream.ts';
import { ManualClock } from '../../manual-clock.ts';
import { plainPng } from '../png.ts';
import { startMute } from '../remote/fixtures.ts';
import { startRun } from '../run.ts';
import { makeWork } from '../work.ts';
import type { FalChanges } from './fixtures.ts';
import { falGenerator } from './fixtures.ts';

const SMALL = { width: 256, height: 256 };
const PRICED: FalChanges = { fal: { prices: { 'fal-ai/flux/schnell': { per_image: 0.25 } } } };

let clock: ManualClock;

beforeEach(() => {
  clock = new ManualClock();
});

async function start(options: FalServerOptions = {}, changes: FalChanges = PRICED, httpClock?: ManualClock) {
  const server = await startFalServer(options);
  onTestFinished(() => server.close());
  const generator = falGenerator(server, { clock, changes, ...(httpClock === undefined ? {} : { httpClock }) });
  await generator.start();
  return { server, generator };
}

/** How one work ends at a server that a test has put into trouble. */
async function outcome(trouble: (server: FalServer) => void, changes?: FalChanges) {
  const { server, generator } = await start({}, changes);
  trouble(server);
  const run = startRun(generator, makeWork(SMALL));
  const error = await clock.run(run.images).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(inspect(error, { depth: 9 })).not.toMatch(/UPSTREAM-TEXT|fake-secret/);
  return { server, run, error };
}

describe('a submit to fal.ai', () => {
  it('that is refused for now says when to come back, and is not repeated', async () => {
    const { server, error } = await outcome((fal) => fal.plan('submit', rateLimited('7')));
    expect(error).toMatchObject({ code: 'upstream_rate_limited', retryable: true, retryAfterMs: 7000 });
    expect(server.count('submit')).toBe(1);
    const bare = await outcome((fal) => fal.plan('submit', rateLimited()));
    expect(bare.error).toMatchObject({ code: 'upstream_rate_limited', retryAfterMs: undefined });
  });

  it.each([500, 503])(
    'that fails with %d may be tried again by whoever decides that, not by the generator',
    async (status) => {
      const { server, error } = await outcome((fal) => fal.plan('submit', failing(status)));
      expect(error).toMatchObject({ code: 'upstream_failed', retryable: true });
      expect(server.count('submit')).toBe(1);
    },
  );

  it.each<[string, Behaviour]>([
    ['502', failing(502)],
    ['504', failing(504)],
    ['a broken connection', reset()],
    ['half an answer', truncated(Buffer.from('{"request_id":"1"}'), 'application/json')],
  ])('whose answer is %s has an outcome that nobody knows', async (_name, behaviour) => {
    const { server, error } = await outcome((fal) => fal.plan('submit', behaviour));
    expect(error).toMatchObject({ code: 'outcome_unknown', retryable: false });
    expect(server.count('submit')).toBe(1);
    const allowed = await outcome((fal) => fal.plan('submit', behaviour), { fal: { resubmit_unknown: true } });
    expect(allowed.error).toMatchObject({ code: 'outcome_unknown', retryable: true });
  });

  it('that cannot leave has plainly failed', async () => {
    const closed = createServer().listen(0, '127.0.0.1');
    await once(closed, 'listening');
    const address = closed.address();
    const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
    closed.close();
    const generator = falGenerator({ url, key: 'k' }, { clock });
    await generator.start();
    const run = startRun(generator, makeWork(SMALL));
    await expect(clock.run(run.images)).rejects.toMatchObject({ code: 'upstream_failed', retryable: true });
  });

  it('with a key that was revoked is not tried again, and the key stays unsaid', async () => {
    for (const status of [401, 402, 403]) {
      const { error, run } = await outcome((fal) => fal.always('submit', failing(status)));
      expect(error).toMatchObject({ code: 'upstream_auth', retryable: false });
      expect(run.remoteIds).toEqual([]);
    }
  });

  it('whose arguments are refused is not tried again', async () => {
    const { error } = await outcome((fal) =>
      fal.plan('submit', json({ detail: [{ loc: ['body', 'seed'], msg: 'UPSTREAM-TEXT', type: 'value_error' }] }, 422)),
    );
    expect(error).toMatchObject({ code: 'upstream_failed', retryable: false });
  });

  it('that is answered with a page is no job', async () => {
    const { error } = await outcome((fal) => fal.plan('submit', html()));
    expect(error).toMatchObject({ code: 'invalid_output', retryable: false });
  });
});

describe('a submit to fal.ai that an earlier process made, and never heard of', () => {
  const remoteId = 'submitting:4d8d7a6e-0000-4000-8000-000000000000';

  it('is not made again, for it may be paid', async () => {
    const { server, generator } = await start();
    const run = startRun(generator, makeWork(SMALL), { remoteId });
    await expect(clock.run(run.images)).rejects.toMatchObject({ code: 'outcome_unknown', retryable: false });
    expect([server.requests, run.noted]).toEqual([[], remoteId]);
    expect(generator.submitsAgain(remoteId)).toBe(false);
  });

  it('is made again where that is allowed', async () => {
    const { server, generator } = await start({}, { fal: { resubmit_unknown: true } });
    const run = startRun(generator, makeWork(SMALL), { remoteId });
    await expect(clock.run(run.images)).resolves.toHaveLength(1);
    expect([server.count('submit'), run.noted]).toEqual([1, run.remoteIds[0]]);
    expect([remoteId, ...run.remoteIds].map((id) => generator.submitsAgain(id))).toEqual([true, false]);
  });

  it('is never asked after: nobody knows its id', async () => {
    const { server, generator } = await start();
    expect(await generator.costOf(makeWork(SMALL), remoteId, new AbortController().signal)).toBe('unknown');
    expect(server.requests).toEqual([]);
  });
});

describe('a server that stops while it submits to fal.ai', () => {
  const draining = new AppError('draining', 'The server is stopping.');

  async function stopAt(answer: Behaviour) {
    const { server, generator } = await start();
    server.plan('submit', answer);
    const stop = new AbortController();
    const run = startRun(generator, makeWork(SMALL), { stop });
    await server.received('submit', 1);
    expect(run.noted).toMatch(/^submitting:/);
    stop.abort(draining);
    return { server, run };
  }

  it('leaves the note that nobody knows what became of it, when no answer comes in 2 s', async () => {
    const { server, run } = await stopAt(hang());
    await clock.advance(2000);
    await expect(run.images).rejects.toBe(draining);
    expect([run.noted?.split(':')[0], server.count('cancel')]).toEqual(['submitting', 0]);
  });

  it('leaves the job’s id when the answer comes', async () => {
    const { server, run } = await stopAt(later(50, json({ request_id: 'late-1' })));
    await expect(run.images).rejects.toBe(draining);
    expect([run.noted, server.count('cancel')]).toEqual(['fal-ai/flux/schnell#late-1', 0]);
  });

  it.each<[string, Behaviour, RegExp | undefined]>([
    ['nothing when it is refused, which costs nothing', later(50, failing(429)), undefined],
    ['the note when a gateway has lost it', later(50, failing(504)), /^submitting:/],
    ['the note when the answer cannot be read', later(50, html()), /^submitting:/],
  ])('leaves %s', async (_what, answer, noted) => {
    const { run } = await stopAt(answer);
    await expect(run.images).rejects.toBe(draining);
    expect(run.noted ?? 'nothing').toMatch(noted ?? /^nothing$/);
    expect(run.detached).toBe(noted !== undefined);
  });

  it('sends nothing, and leaves nothing, when the note was being written', async () => {
    const { server, generator } = await start();
    const stop = new AbortController();
    const reactions = { onRemoteId: async () => stop.abort(draining) };
    const run = startRun(generator, makeWork(SMALL), { stop, reactions });
    await expect(run.images).rejects.toBe(draining);
    expect([server.requests, run.noted, run.detached]).toEqual([[], undefined, false]);
  });
});

describe('content that fal.ai refuses', () => {
  const policy = json(
    { detail: [{ loc: ['body', 'prompt'], msg: 'UPSTREAM-TEXT', type: 'content_policy_violation' }] },
    422,
  );

  it.each<[string, (fal: FalServer) => void]>([
    ['when it is submitted', (fal) => fal.plan('submit', policy)],
    ['in place of the result', (fal) => fal.plan('result', policy)],
    [
      'by a flag beside the image',
      (fal) => fal.plan('result', json({ images: [{ url: `${fal.url}/files/a/0.png` }], has_nsfw_concepts: [true] })),
    ],
  ])('%s is rejected for good', async (_name, trouble) => {
    const { server, error } = await outcome(trouble);
    expect(error).toMatchObject({ code: 'content_rejected', retryable: false });
    expect(server.count('file')).toBe(0);
  });
});

describe('a job at fal.ai', () => {
  it('goes on through troubles of the looking, as long as they are asked to last, and is never submitted again', async () => {
    const { server, run, error } = await outcome((fal) =>
      fal.plan('status', failing(503), reset(), html(502), html(200), rateLimited('30'), failing(500), failing(504)),
    );
    expect(error).toBeUndefined();
    expect(server.count('submit')).toBe(1);
    expect(run.remoteIds).toHaveLength(1);
    expect(clock.elapsed()).toBeGreaterThanOrEqual(30_000);
  });

  it('goes on when a look hangs: each has its own time', async () => {
    const httpClock = new ManualClock();
    const { server, generator } = await start({}, PRICED, httpClock);
    server.plan('status', hang());
    const run = startRun(generator, makeWork(SMALL));
    await server.received('status', 1);
    await httpClock.advance(30_000);
    await expect(clock.run(run.images)).resolves.toHaveLength(1);
    expect(generator.outcomes).toContain('timeout');
    expect(server.count('submit')).toBe(1);
  });

  it('that has failed may be tried again; it was not billed', async () => {
    const broken = json({ detail: 'UPSTREAM-TEXT', error_type: 'runner_disconnected' }, 503);
    const { server, run, error } = await outcome((fal) => fal.plan('result', broken));
    expect(error).toMatchObject({ code: 'generator_failed', retryable: true });
    expect(String(error)).toContain('runner_disconnected');
    expect(server.count('result')).toBe(1);
    expect(run.costs).toEqual([]);
  });

  it('that fal.ai has forgotten is not submitted again', async () => {
    const { generator, server } = await start();
    const remoteId = 'fal-ai/flux/schnell#11111111-2222';
    const run = startRun(generator, makeWork(SMALL), { remoteId });
    await expect(clock.run(run.images)).rejects.toMatchObject({ code: 'result_expired', retryable: false });
    expect(server.count('submit')).toBe(0);
  });

  it('whose result cannot be read for long fails for good: it is paid', async () => {
    const { server, error } = await outcome((fal) => fal.always('result', failing(503)));
    expect(error).toMatchObject({ code: 'upstream_failed', retryable: false });
    expect(server.count('result')).toBe(5);
    expect(server.count('submit')).toBe(1);
  });

  it('whose result a hotspot’s page hides for a while is fetched later', async () => {
    const { server, error } = await outcome((fal) => fal.plan('result', html(200), html(200)));
    expect(error).toBeUndefined();
    expect(server.count('result')).toBe(3);
  });

  it('that an earlier process has submitted is looked at, not submitted', async () => {
    const { generator, server } = await start();
    server.hold();
    const stop = new AbortController();
    const first = startRun(generator, makeWork(SMALL), { stop });
    await server.received('status', 1);
    stop.abort(new AppError('draining', 'The server is stopping.'));
    await expect(first.images).rejects.toMatchObject({ code: 'draining' });
    expect(server.count('cancel')).toBe(0);
    expect(first.detached).toBe(false);

    server.letGo();
    const later = falGenerator(server, { clock, changes: PRICED });
    await later.start();
    const [remoteId = ''] = first.remoteIds;
    const second = startRun(later, makeWork(SMALL), { remoteId });
    await expect(clock.run(second.images)).resolves.toHaveLength(1);
    expect(server.count('submit')).toBe(1);
    expect(second.costs).toEqual([0.25]);
  });

  it.each([
    ['that it is about to leave', 'submitting:', [0, 0]],
    ['the id of its job', 'fal-ai', [1, 1]],
  ])('is never one that nobody remembers: when the journal does not take %s', async (_what, begin, counts) => {
    const { generator, server } = await start();
    const onRemoteId = async (id = '') => {
      if (id.startsWith(begin)) throw new AppError('storage_failed', 'The disk is broken.');
    };
    const run = startRun(generator, makeWork(SMALL), { reactions: { onRemoteId } });
    await expect(run.images).rejects.toMatchObject({ code: 'storage_failed' });
    expect([server.count('submit'), server.count('cancel')]).toEqual(counts);
  });
});

describe('the images of a job', () => {
  it('are fetched without any key', async () => {
    const { server, error } = await outcome(() => {});
    expect(error).toBeUndefined();
    const fetched = server.requests.filter(({ route }) => route === 'file');
    expect(fetched).toHaveLength(1);
    for (const { headers } of fetched) expect(JSON.stringify(headers)).not.toMatch(/fake-secret|authorization|cookie/);
  });

  it('are fetched again when the transfer breaks, and the job is not', async () => {
    const { server, error } = await outcome((fal) =>
      fal.plan('file', truncated(plainPng([1, 2, 3], 256)), reset(), failing(503)),
    );
    expect(error).toBeUndefined();
    expect(server.count('file')).toBe(4);
    expect([server.count('submit'), server.count('result')]).toEqual([1, 1]);
  });

  it('come by new links when the old ones have expired, once', async () => {
    for (const status of [403, 404]) {
      const once = await outcome((fal) => fal.plan('file', failing(status)));
      expect(once.error).toBeUndefined();
      expect(once.server.count('result')).toBe(2);

      const always = await outcome((fal) => fal.always('file', failing(status)));
      expect(always.error).toMatchObject({ code: 'result_expired', retryable: false });
      expect(always.server.count('result')).toBe(2);
      expect(always.run.costs).toEqual([0.25]);
    }
  });

  it.each<[string, Behaviour]>([
    ['a page', html()],
    ['nothing', file(Buffer.alloc(0))],
    ['text', file(Buffer.from('hello'), 'image/png')],
    ['a GIF', file(Buffer.from('GIF89a and so on'), 'image/gif')],
    ['SVG', file(Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'), 'image/svg+xml')],
    ['a gigabyte', flood(2 ** 30)],
    ['packed data', (response, request) => json({}, 200, { 'content-encoding': 'gzip' })(response, request)],
  ])('are not %s', async (_name, behaviour) => {
    const { server, run, error } = await outcome((fal) => fal.always('file', behaviour));
    expect(error).toMatchObject({ code: 'invalid_output', retryable: false });
    expect(server.count('submit')).toBe(1);
    // The image was made and is billed, whatever became of it on the way.
    expect(run.costs).toEqual([0.25]);
  });

  it('are given time for the whole transfer, not for each byte', async () => {
    const httpClock = new ManualClock();
    const { server, generator } = await start({}, PRICED, httpClock);
    server.plan('file', drip(5));
    const run = startRun(generator, makeWork(SMALL));
    void clock.run(run.images);
    await server.received('file', 1);
    await httpClock.advance(60_000);
    await expect(clock.run(run.images)).resolves.toHaveLength(1);
    expect(server.count('file')).toBe(2);
  });

  it('are not fetched from this machine, by a link or by a redirect', async () => {
    const inside = await startFalServer();
    onTestFinished(() => inside.close());
    const linked = await outcome((fal) =>
      fal.plan('result', json({ images: [{ url: `${inside.url}/files/a/0.png` }] })),
    );
    const sent = await outcome((fal) => fal.always('file', redirect(`${inside.url}/files/a/0.png`)));
    for (const { error } of [linked, sent]) {
      expect(error).toMatchObject({ code: 'unsafe_result_url', retryable: false });
    }
    expect(inside.requests).toHaveLength(0);
  });

  it('may be redirected on the allowed hosts, but not for ever', async () => {
    const bytes = plainPng([1, 2, 3], 256);
    const { error, server } = await outcome((fal) => fal.plan('file', redirect('/files/elsewhere.png'), file(bytes)));
    expect(error).toBeUndefined();
    expect(server.count('file')).toBe(2);
    const loop = await outcome((fal) => fal.always('file', redirect('/files/elsewhere.png')));
    expect(loop.error).toMatchObject({ code: 'upstream_failed', retryable: false });
  });

  it('may come within the answer', async () => {
    const url = `data:image/png;base64,${plainPng([1, 2, 3], 256).toString('base64')}`;
    const { error, server } = await outcome((fal) => fal.plan('result', json({ images: [{ url }] })));
    expect(error).toBeUndefined();
    expect(server.count('file')).toBe(0);
    const broken = await outcome((fal) =>
      fal.plan('result', json({ images: [{ url: 'data:image/png;base64,####' }] })),
    );
    expect(broken.error).toMatchObject({ code: 'invalid_output' });
  });

  it('are as many as were asked for', async () => {
    const { error } = await outcome((fal) => fal.plan('result', json({ images: [] })));
    expect(error).toMatchObject({ code: 'invalid_output' });
  });
});

describe('the cost of a job that was left at fal.ai', () => {
  const signal = new AbortController().signal;

  /** A job that nobody waits for, at the end of its submit. */
  async function left() {
    const { server, generator } = await start();
    server.hold();
    const stop = new AbortController();
    const run = startRun(generator, makeWork({ ...SMALL, numImages: 2 }), { stop });
    await server.received('status', 1);
    stop.abort(new AppError('draining', 'The server is stopping.'));
    await expect(run.images).rejects.toMatchObject({ code: 'draining' });
    const [remoteId = ''] = run.remoteIds;
    const later = falGenerator(server, { clock, changes: PRICED });
    await later.start();
    const costOf = () => later.costOf(makeWork({ ...SMALL, numImages: 2 }), remoteId, signal);
    return { server, later, costOf };
  }

  it('is open while the job goes on, then what its images cost, and nothing is downloaded', async () => {
    const { server, costOf } = await left();
    expect(await costOf()).toBe('open');
    server.letGo();
    while ((await costOf()) === 'open') await clock.advance(1);
    expect(await costOf()).toBe(0.5);
    expect([server.count('submit'), server.count('file')]).toEqual([1, 0]);
  });

  it('is nothing when the job has failed or was cancelled, which is not billed', async () => {
    const { server, costOf } = await left();
    for (const job of server.jobs.values()) Object.assign(job, { status: 'COMPLETED', cancelled: true });
    expect(await costOf()).toBe(0);
  });

  it('is unknown without a price', async () => {
    const { server } = await left();
    server.letGo();
    const unpriced = falGenerator(server, { clock, changes: { fal: { prices: {} } } });
    await unpriced.start();
    const [job] = server.jobs.values();
    Object.assign(job ?? {}, { status: 'COMPLETED' });
    expect(await unpriced.costOf(makeWork(SMALL), `${job?.endpoint}#${job?.id}`, signal)).toBe('unknown');
  });

  it.each<[string, Behaviour]>([
    ['is away', reset()],
    ['has trouble', failing(503)],
    ['is hidden by a hotspot’s page', html(200)],
    ['takes no more requests', rateLimited('7')],
  ])('may be asked for again when fal.ai %s', async (_name, behaviour) => {
    const { server, costOf } = await left();
    server.plan('status', behaviour);
    await expect(costOf()).rejects.toMatchObject({ retryable: true });
  });

  it('never becomes known when fal.ai has forgotten the job', async () => {
    const { later } = await left();
    const asked = later.costOf(makeWork(SMALL), 'fal-ai/flux/schnell#11111111-2222', signal);
    await expect(asked).rejects.toMatchObject({ code: 'result_expired', retryable: false });
  });

  it('is not waited for by a generator that is closed', async () => {
    const { server, later, costOf } = await left();
    server.plan('status', hang());
    const asked = costOf();
    asked.catch(() => undefined);
    await server.received('status', 2);
    await later.close();
    await expect(asked).rejects.toMatchObject({ code: 'generator_unavailable' });
  });
});

describe('work at fal.ai that is stopped', () => {
  const reason = new AppError('cancelled', 'Nobody waits.');

  /** Stops it after the first look, which finds it where `looks` says. */
  async function stopped(options: FalServerOptions) {
    const { server, generator } = await start(options);
    const stop = new AbortController();
    const run = startRun(generator, makeWork(SMALL), { stop });
    await server.received('status', 1);
    server.hold();
    stop.abort(reason);
    return { server, run };
  }

  it('is cancelled where it waits', async () => {
    const { server, run } = await stopped({ looks: { queued: 9, running: 9 } });
    await expect(run.images).rejects.toBe(reason);
    expect(server.count('cancel')).toBe(1);
    expect(run.detached).toBe(false);
  });

  it('is cancelled where it runs, when the runner stops at once', async () => {
    const { run } = await stopped({ looks: { queued: 0, running: 9 } });
    await expect(run.images).rejects.toBe(reason);
    expect(run.detached).toBe(false);
    expect(run.costs).toEqual([]);
  });

  it('is detached when the runner goes on, and nothing follows it by itself', async () => {
    const { server, run } = await stopped({ looks: { queued: 0, running: 9 }, cooperative: false });
    await expect(run.images).rejects.toBe(reason);
    expect(run.detached).toBe(true);
    const { length } = server.requests;
    await clock.advance(3_600_000);
    expect([run.costs, server.requests.length, clock.pending]).toEqual([[], length, 0]);
  });

  it.each<[string, Behaviour]>([
    ['fails', failing(500)],
    ['is answered with a page', html(503)],
    ['breaks', reset()],
  ])('is detached when the cancel %s', async (_name, behaviour) => {
    const { server, generator } = await start();
    server.hold();
    server.always('cancel', behaviour);
    const stop = new AbortController();
    const run = startRun(generator, makeWork(SMALL), { stop });
    await server.received('status', 1);
    stop.abort(reason);
    await expect(run.images).rejects.toBe(reason);
    expect(run.detached).toBe(true);
  });

  it('frees its place after 2 s when the cancel hangs', async () => {
    const { server, generator } = await start();
    server.hold();
    server.always('cancel', hang());
    const stop = new AbortController();
    const run = startRun(generator, makeWork(SMALL), { stop });
    await server.received('status', 1);
    stop.abort(reason);
    await server.received('cancel', 1);
    await clock.advance(2000);
    await expect(run.images).rejects.toBe(reason);
    expect(run.detached).toBe(true);
  });

  it('while it is submitted waits for the id, and cancels by it', async () => {
    const { server, generator } = await start();
    const stop = new AbortController();
    server.plan('submit', later(50, json({ request_id: 'late-1' })));
    const run = startRun(generator, makeWork(SMALL), { stop });
    await server.received('submit', 1);
    stop.abort(reason);
    await expect(run.images).rejects.toBe(reason);
    expect(server.requests.at(-1)).toMatchObject({ route: 'cancel', path: '/fal-ai/flux/requests/late-1/cancel' });
    expect(run.detached).toBe(false);
  });

  it('while it is submitted frees its place after 2 s altogether, when the cancel hangs as well', async () => {
    const { server, generator } = await start();
    const stop = new AbortController();
    const answer = Promise.withResolvers<void>();
    server.plan('submit', (response, request) => {
      void answer.promise.then(() => json({ request_id: 'late-1' })(response, request));
    });
    server.always('cancel', hang());
    const run = startRun(generator, makeWork(SMALL), { stop });
    await server.received('submit', 1);
    stop.abort(reason);
    await clock.advance(1500);
    answer.resolve();
    await server.received('cancel', 1);
    await clock.advance(500);
    await expect(run.images).rejects.toBe(reason);
    expect([run.detached, run.remoteIds, clock.pending]).toEqual([true, ['fal-ai/flux/schnell#late-1'], 0]);
  });

  it('while a submit hangs is detached after 2 s', async () => {
    const { server, generator } = await start();
    const stop = new AbortController();
    server.plan('submit', hang());
    const run = startRun(generator, makeWork(SMALL), { stop });
    await server.received('submit', 1);
    stop.abort(reason);
    await clock.advance(2000);
    await expect(run.images).rejects.toBe(reason);
    expect(run.detached).toBe(true);
  });

  it('before its submit could leave is not there', async () => {
    const mute = await startMute();
    const generator = falGenerator({ url: mute.url, key: 'k' }, { clock });
    await generator.start();
    const stop = new AbortController();
    const run = startRun(generator, makeWork(SMALL), { stop });
    await mute.accepted;
    expect(run.noted).toMatch(/^submitting:/);
    stop.abort(reason);
    await expect(run.images).rejects.toBe(reason);
    expect([run.detached, run.noted]).toEqual([false, undefined]);
  });

  it('by the end of the generator goes on there, for the next start to collect', async () => {
    const { server, generator } = await start();
    server.hold();
    const run = startRun(generator, makeWork(SMALL));
    await server.received('status', 1);
    await generator.close();
    await expect(run.images).rejects.toMatchObject({ code: 'generator_unavailable' });
    expect(server.count('cancel')).toBe(0);
  });
});
