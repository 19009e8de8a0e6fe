import type { NewRender } from '../../../src/render/records.ts';

type Status = 'queued' | 'running' | 'succeeded' | 'failed' | 'cancelled';
type RenderPart = 'id' | 'requestId' | 'bodyHash' | 'door' | 'generator' | 'priority' | 'workId';

/** A render as the model knows it. */
export type ModelRender = { -readonly [K in RenderPart]: NewRender[K] } & { status: Status };

/** A work as the model knows it; its place among the works is its age. */
export interface ModelWork {
  readonly id: string;
  generator: string;
  status: 'queued' | 'running' | 'succeeded' | 'failed' | 'abandoned';
  priority: number;
  /** 0 for the bus, which goes first among equals. */
  lane: number;
  attempt: number;
  crashes: number;
  cacheKey: string | undefined;
}

const isActive = ({ status }: { status: string }): boolean => status === 'queued' || status === 'running';
const laneOf = ({ door }: Pick<ModelRender, 'door'>): number => (door === 'bus' ? 0 : 1);

/** What the journal promises of renders and works, in the plainest words: lists, and no database. */
export class JournalModel {
  readonly renders: ModelRender[] = [];
  readonly works: ModelWork[] = [];
  paused = false;

  accept(render: NewRender, maxQueued: number) {
    const known = this.renders.find(({ requestId }) => requestId === render.requestId);
    if (known !== undefined) {
      return known.bodyHash === render.bodyHash ? { kind: 'known', id: known.id } : { kind: 'conflict' };
    }
    const older = render.clearQueue
      ? this.renders.filter((one) => isActive(one) && one.generator === render.generator && one.door === render.door)
      : [];
    const leaving = new Set(older.filter(({ status }) => status === 'queued').map(({ workId }) => workId));
    const queued = this.works.filter(({ status }) => status === 'queued').length - leaving.size;
    const shared = this.#shared(render.cacheKey);
    if (shared === undefined && queued + 1 > maxQueued) return { kind: 'full', queued };
    if (shared !== undefined && isActive(shared) && this.waiters(shared).length >= maxQueued) {
      return { kind: 'full', queued };
    }
    for (const one of older) one.status = 'cancelled';
    const cache = this.#take(render, shared);
    const stoppedWork = [...new Set(older.map(({ workId }) => workId))].filter((id) => this.#leave(id));
    return { kind: 'accepted', id: render.id, cache, stoppedWork };
  }

  claim(generator: string): ModelWork | undefined {
    const [work] = this.paused ? [] : this.waiting(generator);
    if (work === undefined) return undefined;
    work.status = 'running';
    work.attempt += 1;
    for (const render of this.waiters(work)) render.status = 'running';
    return work;
  }

  settle(render: ModelRender, status: 'failed' | 'cancelled') {
    if (!isActive(render)) return { settled: false };
    render.status = status;
    return { settled: true, stoppedWork: this.#leave(render.workId) ? render.workId : undefined };
  }

  finish(work: ModelWork, attempt: number, status: 'succeeded' | 'failed'): string[] {
    if (!this.#isHeld(work, attempt)) return [];
    const waiters = this.waiters(work);
    work.status = status;
    for (const render of waiters) render.status = status;
    return waiters.map(({ id }) => id);
  }

  beginAttempt(work: ModelWork, attempt: number): number | undefined {
    if (!this.#isHeld(work, attempt)) return undefined;
    work.attempt += 1;
    return work.attempt;
  }

  release(work: ModelWork, attempt: number): void {
    if (this.#isHeld(work, attempt)) this.#requeue(work);
  }

  fallBack(work: ModelWork, attempt: number, generator: string): boolean {
    if (!this.#isHeld(work, attempt)) return false;
    work.generator = generator;
    work.cacheKey = undefined;
    for (const render of this.waiters(work)) render.generator = generator;
    this.#requeue(work);
    return true;
  }

  recover(crashAttempts: number) {
    let [requeued, failed] = [0, 0];
    for (const work of this.works.filter(({ status }) => status === 'running')) {
      work.crashes += 1;
      if (work.crashes < crashAttempts) {
        this.#requeue(work);
        requeued += 1;
      } else {
        this.finish(work, work.attempt, 'failed');
        failed += 1;
      }
    }
    return { requeued, failed };
  }

  clearQueue(generator: string | undefined): number {
    const waiting = this.renders.filter(
      (render) => render.status === 'queued' && (generator === undefined || render.generator === generator),
    );
    for (const render of waiting) render.status = 'cancelled';
    for (const { workId } of waiting) this.#leave(workId);
    return waiting.length;
  }

  /** What waits for a generator, in the order in which it will run. */
  waiting(generator: string): ModelWork[] {
    return this.works
      .filter((work) => work.status === 'queued' && work.generator === generator)
      .sort((a, b) => b.priority - a.priority || a.lane - b.lane || this.works.indexOf(a) - this.works.indexOf(b));
  }

  waiters({ id }: ModelWork): ModelRender[] {
    return this.renders.filter((render) => render.workId === id && isActive(render));
  }

  #shared(cacheKey: string | undefined): ModelWork | undefined {
    const equal = cacheKey === undefined ? [] : this.works.filter((work) => work.cacheKey === cacheKey);
    return equal.findLast(({ status }) => status === 'succeeded') ?? equal.findLast(isActive);
  }

  #take(render: NewRender, shared: ModelWork | undefined): string {
    const { id, requestId, bodyHash, door, generator, priority, cacheKey } = render;
    const taken: ModelRender = {
      ...{ id, requestId, bodyHash, door, generator, priority },
      workId: shared?.id ?? render.workId,
      status: shared === undefined || !isActive(shared) ? 'queued' : shared.status === 'running' ? 'running' : 'queued',
    };
    this.renders.push(taken);
    if (shared === undefined) {
      const work = { id: render.workId, generator, priority, lane: laneOf(render), cacheKey, attempt: 0, crashes: 0 };
      this.works.push({ ...work, status: 'queued' });
      return cacheKey === undefined ? 'bypass' : 'miss';
    }
    if (!isActive(shared)) {
      taken.status = 'succeeded';
      return 'hit';
    }
    shared.priority = Math.max(shared.priority, priority);
    shared.lane = Math.min(shared.lane, laneOf(render));
    return 'joined';
  }

  /** Work that a render has left; true when nobody waits for it any more, and it is given up. */
  #leave(workId: string): boolean {
    const work = this.works.find(({ id }) => id === workId);
    if (work === undefined || !isActive(work)) return false;
    const rest = this.waiters(work);
    if (rest.length === 0) {
      work.status = 'abandoned';
      return true;
    }
    work.priority = Math.max(...rest.map(({ priority }) => priority));
    work.lane = Math.min(...rest.map(laneOf));
    return false;
  }

  #isHeld({ status, attempt: current }: ModelWork, attempt: number): boolean {
    return status === 'running' && current === attempt;
  }

  #requeue(work: ModelWork): void {
    work.status = 'queued';
    for (const render of this.waiters(work)) render.status = 'queued';
  }
}
