import { describe, expect, it } from 'vitest';
import { AppError } from '../../src/errors.ts';
import type { GeneratorHealth, ImageGenerator } from '../../src/generators/generator.ts';
import type { NewEvent } from '../../src/messages/events.ts';
import { createGeneratorStates } from '../../src/render/generator-states.ts';
import { ManualClock } from '../manual-clock.ts';

interface Scripted {
  health: GeneratorHealth;
  start(): Promise<void>;
}

const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

/** States of one generator, `draw`, that does as the script says; `seen` tells what others heard, in order. */
function watch(script: Scripted, note: () => void = () => undefined) {
  const seen: string[] = [];
  const generator: ImageGenerator = {
    name: 'draw',
    capabilities: { fields: new Set(), maxImages: 1, seeds: true, previews: false },
    sizes: { default: { width: 8, height: 8 }, min: 8, max: 64, multipleOf: 8 },
    start: () => script.start(),
    generate: async () => [],
    health: () => script.health,
    close: async () => undefined,
  };
  const states = createGeneratorStates({
    generators: new Map([['draw', { generator, concurrency: 1, timeoutMs: 1000 }]]),
    journal: {
      note: async ({ event }: { event: NewEvent }) => {
        note();
        if (event.type === 'GeneratorState') seen.push(`${event.state}: ${event.reason}`);
      },
    },
    clock: new ManualClock(),
    log: { ...silent, error: (_context, message) => void seen.push(message) },
    wake: (name) => void seen.push(`woken ${name}`),
    onFatal: (error) => void seen.push(`fatal ${error.code}`),
  });
  return { states, seen, settle: () => new Promise<void>((resolve) => setImmediate(resolve)) };
}

const ready = async () => undefined;

describe('the states of generators', () => {
  it('are an event each time that they change, and no other time', async () => {
    const script: Scripted = { health: { state: 'starting' }, start: ready };
    const { states, seen, settle } = watch(script);
    states.look('draw');
    states.look('draw');
    script.health = { state: 'degraded', reason: 'it is slow' };
    states.look('draw');
    await settle();
    expect(seen.filter((line) => !line.startsWith('woken'))).toEqual(['starting: undefined', 'degraded: it is slow']);
  });

  it('wake a generator that has become ready', async () => {
    const script: Scripted = { health: { state: 'starting' }, start: ready };
    const { states, seen, settle } = watch(script);
    script.start = async () => {
      script.health = { state: 'ready' };
    };
    states.startAll();
    await settle();
    expect(seen).toEqual(['woken draw', 'ready: undefined']);
  });

  it('say nothing of a generator that is disabled, which is not started either', async () => {
    let starts = 0;
    const start = async () => {
      starts += 1;
    };
    const { states, seen, settle } = watch({ health: { state: 'disabled', reason: 'no key' }, start });
    states.startAll();
    await settle();
    expect({ starts, used: states.used, seen }).toEqual({ starts: 0, used: [], seen: [] });
  });

  it.each([
    ['ends the program when a setting is wrong', 'config_invalid', 'fatal config_invalid'],
    ['is logged when it may be another time', 'generator_failed', 'a generator could not be started'],
  ] as const)('a start that fails %s', async (_what, code, expected) => {
    const start = async () => {
      throw new AppError(code, 'no paint');
    };
    const { states, seen, settle } = watch({ health: { state: 'starting' }, start });
    states.startAll();
    await settle();
    expect(seen[0]).toBe(expected);
  });

  it('go on when the journal cannot take an event', async () => {
    const script: Scripted = { health: { state: 'starting' }, start: ready };
    const { states, seen, settle } = watch(script, () => {
      throw new AppError('storage_full', 'The disk is full.');
    });
    states.look('draw');
    await settle();
    expect(seen).toEqual(['woken draw', 'a generator’s state could not be journalled']);
  });
});
