import { describe, expect, it, onTestFinished } from 'vitest';
import { AppError } from '../../src/errors.ts';
import { alert, busImageReady } from '../../src/messages/bus.ts';
import type { EventType } from '../../src/messages/events.ts';
import { EVENT_TYPES, eventBodies, hello, renderProgress } from '../../src/messages/events.ts';
import { renderResource } from '../../src/messages/render.ts';
import { eventSchemas } from '../../src/transports/http/openapi.ts';
import { pythonRenderRequest, startCorePeer } from '../fakes/core-peer.ts';
import { SteppedGenerator } from '../fakes/stepped-generator.ts';
import { startApp } from '../helper.ts';

describe('what a real server says', () => {
  it('fits the schemas of events, every type of them and nothing beside', async () => {
    const stepped = new SteppedGenerator();
    const late = new SteppedGenerator('late');
    const begin = Promise.withResolvers<void>();
    late.start = () => begin.promise;
    const generators = new Map([stepped, late].map((each) => [each.name, each]));
    const app = await startApp({ overrides: { generators } });
    const client = await app.listen();
    begin.resolve();
    await client.until(({ type, generator }) => type === 'GeneratorState' && generator === 'late');
    const ask = (body: object) => app.call('POST', '/v1/renders', { prompt: 'a', generator: 'stepped', ...body });

    await ask({ era: 'wilderness', biome: 'desert', num_images: 2 });
    const drawn = await stepped.call(1);
    drawn.hooks.onProgress({ step: 1, steps: 2 });
    drawn.finish();
    await ask({ era: 'ruins' });
    (await stepped.call(2)).fail(new AppError('generator_failed', 'No.'));
    const { body } = await ask({ biome: 'river' });
    await stepped.call(3);
    await app.call('POST', `/v1/renders/${body.id}/cancel`);
    await client.until(({ type }) => type === 'RenderCancelled');
    // Known only after the attempt has ended.
    drawn.hooks.onCost(0.01);
    for (const call of ['pause', 'resume', 'clear']) await app.call('POST', `/v1/queue/${call}`);
    await client.until(({ type }) => type === 'CostKnown');
    await client.until(({ type }) => type === 'QueueCleared');
    await app.stop();
    await client.closed;

    const [greeting, ...rest] = client.messages;
    expect(hello.strict().parse(greeting)).toEqual(greeting);
    const seen = new Set<string>();
    for (const message of rest) {
      seen.add(message.type);
      expect(() => eventSchemas.parse(message), message.type).not.toThrow();
      if (message.type === 'RenderProgress') {
        expect(renderProgress.strict().parse(message)).toEqual(message);
        continue;
      }
      const { type, seq: _seq, time: _time, ...event } = message;
      expect(eventBodies[type as EventType].strict().parse(event), type).toEqual(event);
    }
    expect([...EVENT_TYPES, 'RenderProgress'].filter((type) => !seen.has(type))).toEqual([]);
  });

  it('fits the schemas of the bus, with Experimance’s own fields first', async () => {
    const core = await startCorePeer();
    onTestFinished(() => core.close());
    const app = await startApp({ config: { bus: { enabled: true, requests: core.requests, results: core.results } } });
    await core.send(pythonRenderRequest({ request_id: 'Übung 1/2', width: 64, height: 64, seed: -1 }));
    const ready = await core.answerTo('Übung 1/2');
    expect(busImageReady.strict().parse(ready)).toEqual(ready);
    expect(Object.keys(ready).slice(0, 6)).toEqual(['type', 'request_id', 'uri', 'prompt', 'era', 'biome']);
    expect(ready).toMatchObject({ era: 'wilderness', biome: 'desert', seed: 2 ** 32 - 1, format: 'jpeg' });

    await core.send(pythonRenderRequest({ request_id: 'bad', prompt: ' ' }));
    const refused = await core.answerTo('bad');
    expect(alert.parse(refused)).toEqual(refused);
    expect(refused).toMatchObject({ code: 'invalid_request', severity: 'error' });

    const { status, body } = await app.call('GET', `/v1/renders/${encodeURIComponent('Übung 1/2')}`);
    expect(status).toBe(200);
    expect(renderResource.strict().parse(body)).toMatchObject({ status: 'succeeded', request_id: 'Übung 1/2' });
  });
});
