import { parentPort } from 'node:worker_threads';
import type { Job, JobResult } from './job.ts';
import { drawPicture } from './picture.ts';
import { drawnSize, shrinkTo } from './shrink.ts';
import type { World } from './world.ts';
import { createWorld } from './world.ts';

/** Landscapes that are kept: previews and the picture share one, and the next picture is often of the same place. */
const KEPT_WORLDS = 4;

const port = parentPort;
if (port === null) throw new Error('the terrain’s worker must run as a worker thread');

const worlds = new Map<string, World>();

/** Thrown out of the loops when nobody wants the picture any more. */
class Stopped extends Error {}

port.on('message', (job: Job) => {
  const result = run(job);
  port.postMessage(result, result.kind === 'drawn' ? [result.data.buffer] : []);
});

function run(job: Job): JobResult {
  const { id, size } = job;
  const checkpoint = (): void => {
    if (Atomics.load(job.stop, 0) !== 0) throw new Stopped();
  };
  try {
    checkpoint();
    const world = worldOf(job);
    const drawn = job.smooth ? drawnSize(size) : size;
    return { id, kind: 'drawn', data: shrinkTo(drawPicture(world, drawn, checkpoint), drawn, size) };
  } catch (error) {
    if (error instanceof Stopped) return { id, kind: 'stopped' };
    return { id, kind: 'failed', detail: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

function worldOf({ scene, depthName }: Job): World {
  const { seed, era, biome, shape } = scene;
  const key = JSON.stringify([seed, era, biome, shape, depthName]);
  const world = worlds.get(key) ?? createWorld(scene);
  worlds.delete(key);
  worlds.set(key, world);
  for (const oldest of worlds.keys()) {
    if (worlds.size <= KEPT_WORLDS) break;
    worlds.delete(oldest);
  }
  return world;
}
