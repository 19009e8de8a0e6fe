import { createHash, randomUUID } from 'node:crypto';
import { z } from 'zod';
import { png } from '../generators/png.ts';
import type { Behaviour, ScriptedUpstream } from './scripted-upstream.ts';
import { file, json, startScriptedUpstream } from './scripted-upstream.ts';

/** What requests to the fake ask for. */
export type FalRoute = 'submit' | 'status' | 'result' | 'cancel' | 'file' | 'initiate' | 'upload' | 'other';

/** A job that the fake was given. */
export interface FakeFalJob {
  readonly id: string;
  readonly endpoint: string;
  readonly input: Record<string, unknown>;
  status: 'IN_QUEUE' | 'IN_PROGRESS' | 'COMPLETED';
  cancelled: boolean;
}

/** Options of `startFalServer`. */
export interface FalServerOptions {
  /** Key that requests must carry. */
  readonly key?: string;
  /** Looks at a job that find it waiting, and then that find it at work. */
  readonly looks?: { readonly queued: number; readonly running: number };
  /** Whether runners stop when they are asked to. */
  readonly cooperative?: boolean;
  /** How a result names its images: as models do, or as workflows do. */
  readonly form?: 'images' | 'outputs';
  /** Answers a submit, or the question for a result, in the place of the job. `earlier`: asked so before with this prompt. */
  refuse?(call: 'submit' | 'result', prompt: unknown, earlier: number): Behaviour | undefined;
  /** Hears of each submit and each cancel. */
  onCall?(call: { call: 'submit' | 'cancel'; id: string; endpoint: string; prompt: unknown }): void;
}

/** The queue of fal.ai as its documentation describes it, with results, files and uploads on the same address. */
export interface FalServer extends ScriptedUpstream<FalRoute> {
  readonly key: string;
  readonly jobs: ReadonlyMap<string, FakeFalJob>;
  /** Uploaded files by their address. */
  readonly uploads: ReadonlyMap<string, Buffer>;
  /** Leaves a job as it is, whatever number of looks it gets, until it is let go. */
  hold(): void;
  letGo(): void;
}

const imageSize = z.object({ width: z.int(), height: z.int() });

/** Starts the fake on a free port. */
export async function startFalServer(options: FalServerOptions = {}): Promise<FalServer> {
  const { key = 'fake-id:fake-secret', cooperative = true, form = 'images' } = options;
  const { queued = 1, running = 1 } = options.looks ?? {};
  const jobs = new Map<string, FakeFalJob & { looks: number }>();
  const uploads = new Map<string, Buffer>();
  const asked = new Map<string, number>();
  let held = false;
  let base = '';

  function refusalOf(call: 'submit' | 'result', { prompt }: Record<string, unknown>): Behaviour | undefined {
    const key = `${call} ${prompt}`;
    const earlier = asked.get(key) ?? 0;
    asked.set(key, earlier + 1);
    return options.refuse?.(call, prompt, earlier);
  }

  const submit: Behaviour = (response, request) => {
    const endpoint = request.path.slice(1).split('?')[0] ?? '';
    const id = randomUUID();
    const input = z.record(z.string(), z.unknown()).parse(JSON.parse(String(request.body)));
    const refusal = refusalOf('submit', input);
    if (refusal !== undefined) return refusal(response, request);
    jobs.set(id, { id, endpoint, input, status: 'IN_QUEUE', cancelled: false, looks: 0 });
    options.onCall?.({ call: 'submit', id, endpoint, prompt: input.prompt });
    const at = `${base}/${endpoint.split('/').slice(0, 2).join('/')}/requests/${id}`;
    const urls = { response_url: at, status_url: `${at}/status`, cancel_url: `${at}/cancel` };
    json({ status: 'IN_QUEUE', request_id: id, ...urls, queue_position: 0 })(response, request);
  };

  const status = withJob((job) => {
    if (job.status !== 'COMPLETED' && !held) {
      job.looks += 1;
      if (job.looks > queued + running) job.status = 'COMPLETED';
      else if (job.looks > queued) job.status = 'IN_PROGRESS';
    }
    const id = { request_id: job.id };
    if (job.status === 'IN_QUEUE') return json({ ...id, status: job.status, queue_position: 0 }, 202);
    if (job.status === 'IN_PROGRESS') return json({ ...id, status: job.status, logs: [] }, 202);
    return json({ ...id, status: job.status, logs: [], metrics: { inference_time: 1.5 } });
  });

  const result = withJob((job) => {
    if (job.status !== 'COMPLETED') return json({ detail: 'Request is still in progress' }, 400);
    const refusal = refusalOf('result', job.input);
    if (refusal !== undefined) return refusal;
    if (job.cancelled) return json({ detail: 'Request was cancelled', error_type: 'client_cancelled' }, 499);
    const size = imageSize.safeParse(job.input.image_size).data ?? { width: 1024, height: 1024 };
    const images = Array.from({ length: Number(job.input.num_images ?? 1) }, (_image, index) => ({
      url: `${base}/files/${job.id}/${index}.png?signature=s`,
      ...size,
      content_type: 'image/png',
    }));
    if (form === 'outputs') return json({ outputs: { '9': { images } }, timings: {} });
    const { seed = 1, prompt } = job.input;
    return json({ images, seed, prompt, timings: { inference: 1.5 }, has_nsfw_concepts: images.map(() => false) });
  });

  const cancel = withJob((job) => {
    options.onCall?.({ call: 'cancel', id: job.id, endpoint: job.endpoint, prompt: job.input.prompt });
    if (job.status === 'COMPLETED') return json({ status: 'ALREADY_COMPLETED' }, 400);
    if (job.status === 'IN_QUEUE' || cooperative) {
      job.cancelled = true;
      job.status = 'COMPLETED';
    }
    return json({ status: 'CANCELLATION_REQUESTED' }, 202);
  });

  const image: Behaviour = (response, request) => {
    const [, , id = '', name = '0'] = request.path.split('/');
    const job = jobs.get(id);
    if (job === undefined) json({ detail: 'Not Found' }, 404)(response, request);
    else file(drawn(job, Number.parseInt(name, 10)))(response, request);
  };

  const initiate: Behaviour = (response, request) => {
    const name = `${base}/files/upload-${uploads.size}`;
    uploads.set(name, Buffer.alloc(0));
    json({ upload_url: `${base}/put/upload-${uploads.size - 1}`, file_url: name })(response, request);
  };

  const upload: Behaviour = (response, request) => {
    uploads.set(`${base}/files/${request.path.slice('/put/'.length)}`, request.body);
    response.writeHead(200).end();
  };

  /** Answers about the job of the address; others are not known. */
  function withJob(answer: (job: FakeFalJob & { looks: number }) => Behaviour): Behaviour {
    return (response, request) => {
      const id = /\/requests\/([\w-]+)/.exec(request.path)?.[1] ?? '';
      const job = jobs.get(id);
      if (job === undefined) json({ detail: 'Request not found', status: 'NOT_FOUND' }, 404)(response, request);
      else answer(job)(response, request);
    };
  }

  /** Every call but those for files needs the key. */
  function keyed(answer: Behaviour): Behaviour {
    return (response, request) => {
      const known = request.headers.authorization === `Key ${key}`;
      (known ? answer : json({ detail: 'Cannot access application. Authentication is required' }, 401))(
        response,
        request,
      );
    };
  }

  const upstream = await startScriptedUpstream<FalRoute>((method, { pathname }) => {
    if (method === 'GET' && pathname.startsWith('/files/')) return { name: 'file', answer: image };
    if (method === 'PUT' && pathname.startsWith('/put/')) return { name: 'upload', answer: upload };
    if (method === 'POST' && pathname === '/storage/upload/initiate')
      return { name: 'initiate', answer: keyed(initiate) };
    const call = /\/requests\/[\w-]+(\/\w+)?$/.exec(pathname);
    if (method === 'POST' && call === null) return { name: 'submit', answer: keyed(submit) };
    if (method === 'GET' && call?.[1] === '/status') return { name: 'status', answer: keyed(status) };
    if (method === 'GET' && call !== null && call[1] === undefined) return { name: 'result', answer: keyed(result) };
    if (method === 'PUT' && call?.[1] === '/cancel') return { name: 'cancel', answer: keyed(cancel) };
    return { name: 'other', answer: json({ detail: 'Not Found' }, 404) };
  });
  base = upstream.url;
  return {
    ...upstream,
    key,
    jobs,
    uploads,
    hold() {
      held = true;
    },
    letGo() {
      held = false;
    },
  };
}

/** The same bytes for the same input and index. */
function drawn({ endpoint, input }: FakeFalJob, index: number): Buffer {
  const [r = 0, g = 0, b = 0] = createHash('sha256')
    .update(JSON.stringify([endpoint, input, index]))
    .digest();
  return png(imageSize.safeParse(input.image_size).data ?? { width: 1024, height: 1024 }, () => [r, g, b]);
}
