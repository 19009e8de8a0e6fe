import { describe, expect, it } from 'vitest';
import { AppError } from '../../src/errors.ts';
import { createStorageGate } from '../../src/render/storage-gate.ts';
import { ManualClock } from '../manual-clock.ts';

const FULL = new AppError('storage_full', 'The disk is full.');

function gateOn() {
  const clock = new ManualClock();
  const state = { full: false, probes: 0, opened: 0, lines: [] as string[] };
  const say = (_fields: object, message: string) => void state.lines.push(message);
  const gate = createStorageGate({
    async probe() {
      state.probes += 1;
      if (state.full) throw FULL;
    },
    onOpen: () => {
      state.opened += 1;
    },
    clock,
    log: { debug: say, info: say, warn: say, error: say },
  });
  return { clock, state, gate };
}

describe('the gate before the image store', () => {
  it('is open while images can be stored, and looks at most once a second', async () => {
    const { clock, state, gate } = gateOn();
    await Promise.all([gate.admit(), gate.admit(), gate.admit()]);
    await clock.advance(999);
    await gate.admit();
    expect(state).toMatchObject({ probes: 1, opened: 0, lines: [] });
    await clock.advance(1);
    await gate.admit();
    expect(state.probes).toBe(2);
  });

  it('closes with what is wrong, says so once, and opens by itself', async () => {
    const { clock, state, gate } = gateOn();
    state.full = true;
    expect(await gate.trouble()).toBe(FULL);
    await clock.advance(5000);
    await expect(gate.admit()).rejects.toBe(FULL);
    expect(state).toMatchObject({ opened: 0, lines: [expect.stringContaining('cannot be stored')] });

    state.full = false;
    await clock.advance(1000);
    expect(state).toMatchObject({ opened: 1, lines: [expect.anything(), 'images can be stored again'] });
    await gate.admit();
    expect(clock.pending).toBe(0);
  });

  it('stays closed while an image waits, even where something small finds room', async () => {
    const { clock, state, gate } = gateOn();
    const leaveOne = gate.hold(FULL);
    const leaveOther = gate.hold(FULL);
    leaveOne();
    await clock.advance(3000);
    await expect(gate.admit()).rejects.toBe(FULL);
    leaveOther();
    await gate.admit();
    expect(state.opened).toBe(1);
  });

  it('looks no more when it is stopped', async () => {
    const { clock, state, gate } = gateOn();
    state.full = true;
    await gate.trouble();
    gate.stop();
    expect(clock.pending).toBe(0);
  });
});
