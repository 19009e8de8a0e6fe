import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { RawPixels } from '../../generator.ts';
import type { Job, JobResult } from './job.ts';

/** A picture to draw. */
export type Drawn = Pick<Job, 'scene' | 'depthName' | 'size' | 'smooth'>;

/** Draws landscapes in a thread of its own, one after the other. */
export interface TerrainRenderer {
  /** Rejects with the signal's reason once the drawing has stopped, and with an `Error` when the thread dies. */
  draw(drawn: Drawn, signal: AbortSignal): Promise<RawPixels>;
  /** Ends the thread; what it was drawing is rejected. */
  close(): Promise<void>;
}

interface Waiting {
  resolve(result: JobResult): void;
  reject(error: Error): void;
}

/** Starts the thread that draws. */
export function startTerrainWorker(): Worker {
  return new Worker(new URL(`./worker${extname(import.meta.url)}`, import.meta.url));
}

/** A renderer whose thread starts with the first picture, and again with the next one after it died. */
export function createTerrainRenderer(startWorker = startTerrainWorker): TerrainRenderer {
  let worker: Worker | undefined;
  let waiting = new Map<number, Waiting>();
  let lastId = 0;
  let closed = false;

  function running(): Worker {
    if (closed) throw new Error('the renderer is closed');
    worker ??= start();
    return worker;
  }

  function start(): Worker {
    const started = startWorker();
    const jobs = new Map<number, Waiting>();
    waiting = jobs;
    started.on('message', (result: JobResult) => {
      jobs.get(result.id)?.resolve(result);
      jobs.delete(result.id);
    });
    const end = (cause: unknown): void => {
      if (worker === started) worker = undefined;
      for (const job of jobs.values()) job.reject(new Error('the terrain’s thread has ended', { cause }));
      jobs.clear();
    };
    started.on('error', end);
    started.on('exit', end);
    return started;
  }

  return {
    async draw({ scene, depthName, size, smooth }, signal) {
      signal.throwIfAborted();
      const thread = running();
      lastId += 1;
      const job: Job = { id: lastId, scene, depthName, size, smooth, stop: new Int32Array(new SharedArrayBuffer(4)) };
      const stop = (): void => void Atomics.store(job.stop, 0, 1);
      signal.addEventListener('abort', stop, { once: true });
      try {
        const result = await new Promise<JobResult>((resolve, reject) => {
          waiting.set(job.id, { resolve, reject });
          thread.postMessage(job);
        });
        signal.throwIfAborted();
        if (result.kind !== 'drawn') {
          throw new Error(result.kind === 'failed' ? result.detail : 'the drawing was stopped');
        }
        return { data: result.data, ...size, channels: 3 };
      } finally {
        signal.removeEventListener('abort', stop);
      }
    },

    async close() {
      closed = true;
      await worker?.terminate();
    },
  };
}
