import type { CacheUse } from '../../messages/outputs.ts';
import { queuedEvent } from '../job.ts';
import type { NewRender } from '../records.ts';
import type { JournalContext } from './context.ts';

/** Lower runs first among equal priorities: the visitor at the bowl never waits behind a batch. */
export const LANES = { bus: 0, rest: 1 } as const;

/** The rows of what comes in. */
export function createInserts({ run, log }: JournalContext) {
  /** Whatever becomes of the request: the files are there, and nobody else would ever give them up. */
  function noteInputs({ inputs, steadyAt: at }: NewRender): void {
    for (const { imageId, bytes } of inputs) {
      run(
        `INSERT INTO inputs (image_id, bytes, used_at) VALUES ($imageId, $bytes, $at)
         ON CONFLICT DO UPDATE SET used_at = excluded.used_at`,
        { imageId, bytes, at },
      );
      // It is wanted again, and a start must not remove it.
      run(`DELETE FROM doomed WHERE kind = 'input' AND image_id = $imageId`, { imageId });
    }
  }

  function countQueued(generator: string, priority: number, lane: number): void {
    run(
      `INSERT INTO queue_counts (generator, priority, lane, queued) VALUES ($generator, $priority, $lane, 1)
       ON CONFLICT DO UPDATE SET queued = queued + 1`,
      { generator, priority, lane },
    );
  }

  function insertWork({ workId, generator, priority, door, spec, cacheKey, steadyAt }: NewRender): void {
    run(
      `INSERT INTO works (id, generator, status, priority, lane, spec, cache_key, created_at)
       VALUES ($workId, $generator, 'queued', $priority, $lane, $spec, unhex($cacheKey), $at)`,
      {
        workId,
        generator,
        priority,
        lane: LANES[door],
        spec: JSON.stringify(spec),
        cacheKey: cacheKey ?? null,
        at: steadyAt,
      },
    );
    countQueued(generator, priority, LANES[door]);
    for (const role of ['referenceImage', 'depthMap', 'mask'] as const) {
      const imageId = spec[role];
      if (imageId === undefined) continue;
      run('INSERT INTO work_inputs (work_id, role, image_id) VALUES ($workId, $role, $imageId)', {
        workId,
        role,
        imageId,
      });
    }
  }

  function insertRender(render: NewRender, workId: string, cache: CacheUse): void {
    const {
      id,
      owner,
      door,
      bodyHash,
      generator,
      priority,
      timeoutMs,
      queueTimeoutMs,
      queueUntil,
      createdAt: at,
    } = render;
    const { era, biome } = render.request;
    run(
      `INSERT INTO renders (id, owner, door, request_id, body_hash, work_id, status, generator, priority, timeout_ms,
         queue_timeout_ms, queue_until, fallback, cached, batch_id, era, biome, request, ignored, created_at)
       VALUES ($id, $owner, $door, $requestId, $bodyHash, $workId, 'queued', $generator, $priority, $timeoutMs,
         $queueTimeoutMs, $queueUntil, $fallback, $cached, $batchId, $era, $biome, $request, $ignored, $at)`,
      {
        ...{
          id,
          owner,
          door,
          bodyHash: bodyHash ?? '',
          workId,
          generator,
          priority,
          timeoutMs,
          queueTimeoutMs,
          queueUntil,
          at,
        },
        requestId: JSON.stringify(render.requestId),
        fallback: Number(render.fallback),
        cached: Number(cache === 'hit'),
        batchId: render.batchId ?? null,
        era: era ?? null,
        biome: biome ?? null,
        request: JSON.stringify(render.request),
        ignored: JSON.stringify(render.ignored),
      },
    );
    log(queuedEvent(render, priority, render.spec.numImages, cache), at, render);
  }

  return { noteInputs, insertWork, insertRender };
}
