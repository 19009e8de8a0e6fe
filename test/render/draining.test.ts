import { expect, it } from 'vitest';
import { temporaryDir } from '../helper.ts';
import { expectCode } from './journal-fixtures.ts';
import { ANN, startStepped } from './service-fixtures.ts';

it('a server that stops says so, takes nothing more and lets what runs finish', async () => {
  const dir = await temporaryDir();
  const { app, submit, generator, watch, renders } = await startStepped({ dir });
  const first = await submit({ request_id: 'first' });
  const step = await generator.call(1);
  const second = await submit({ request_id: 'second' });
  const stopped = app.stop();
  expect(await watch.until('ServerDraining')).toMatchObject({ grace_ms: 1000 });
  expect(renders.draining).toBe(true);
  await expectCode(submit(), 'draining');
  expect(await submit({ request_id: 'first' })).toMatchObject({ kind: 'known', render: { id: first.render.id } });
  expect((await renders.get(first.render.id, 'ann')).status).toBe('running');
  step.finish();
  await stopped;
  expect(generator.calls.length).toBe(1);

  const next = await startStepped({ dir });
  expect((await next.renders.get('first', 'ann')).status).toBe('succeeded');
  (await next.generator.call(1)).finish();
  expect((await next.renders.wait(second.render.id, 'ann', 60_000)).status).toBe('succeeded');
});

it('what exceeds the grace is handed back and finishes after a restart, each render once', async () => {
  const dir = await temporaryDir();
  const { submit, generator, stop, watch } = await startStepped({ dir });
  const { render } = await submit({ request_id: 'one', seed: 3 });
  const waiting = await submit({ seed: 4 });
  await generator.call(1);
  await stop();
  expect(watch.typesOf(render.id)).toEqual(['RenderQueued', 'RenderStarted', 'AttemptEnded']);

  const next = await startStepped({ dir });
  const step = await next.generator.call(1);
  expect(step.work).toMatchObject({ seed: 3 });
  step.finish();
  (await next.generator.call(2)).finish();
  expect(await next.renders.wait(render.id, 'ann', 60_000)).toMatchObject({
    request_id: 'one',
    status: 'succeeded',
    attempts: [{ outcome: 'released' }, { outcome: 'succeeded' }],
  });
  expect(await next.renders.wait(waiting.render.id, 'ann', 60_000)).toMatchObject({ attempts: [{}] });
  const known = await next.renders.submit({
    caller: ANN,
    mode: 'strict',
    request: { prompt: 'a delta', request_id: 'one', seed: 3 },
  });
  expect(known).toMatchObject({ kind: 'known', replay: [{ event: { type: 'ImageReady' } }] });
});

it('what was drawn although the grace was over is kept', async () => {
  const dir = await temporaryDir();
  const { app, clock, submit, generator, watch } = await startStepped({ dir });
  generator.stopsOnAbort = false;
  const { render } = await submit();
  const step = await generator.call(1);
  const stopped = app.stop();
  await watch.until('ServerDraining');
  await clock.advance(1000);
  expect(step.hooks.signal.aborted).toBe(true);
  step.finish();
  await stopped;

  const next = await startStepped({ dir });
  expect(await next.renders.get(render.id, 'ann')).toMatchObject({
    status: 'succeeded',
    attempts: [{ outcome: 'succeeded' }],
  });
});

it('work that does not stop in time is not lost either', async () => {
  const dir = await temporaryDir();
  const { submit, generator, stop } = await startStepped({ dir });
  generator.stopsOnAbort = false;
  const { render } = await submit();
  await generator.call(1);
  await stop();

  const next = await startStepped({ dir });
  (await next.generator.call(1)).finish();
  expect((await next.renders.wait(render.id, 'ann', 60_000)).status).toBe('succeeded');
});

it('a render that is cancelled while it is handed back stays cancelled', async () => {
  const dir = await temporaryDir();
  const { app, submit, generator, renders, clock, watch } = await startStepped({ dir });
  generator.stopsOnAbort = false;
  const { render } = await submit();
  const step = await generator.call(1);
  const stopped = app.stop();
  await watch.until('ServerDraining');
  await clock.advance(1000);
  const cancelled = renders.cancel(render.id, 'ann');
  await watch.until('RenderCancelled', render.id);
  step.fail(step.hooks.signal.reason);
  expect((await cancelled).outcome).toBe('cancelled');
  await stopped;

  const next = await startStepped({ dir });
  expect(await next.renders.get(render.id, 'ann')).toMatchObject({
    status: 'cancelled',
    attempts: [{ outcome: 'cancelled' }],
  });
  const after = await next.submit({ prompt: 'next' });
  expect((await next.generator.call(1)).work.prompt).toBe('next');
  expect(after.render.queue_position).toBe(1);
});
