import { z } from 'zod';
import type { Behaviour, ReceivedRequest, ScriptedUpstream } from './scripted-upstream.ts';
import { json, startScriptedUpstream } from './scripted-upstream.ts';
import { solidPng } from './solid-png.ts';

/** The key that the fake takes. */
export const RUNWARE_KEY = 'rw-test-0123456789-never-in-a-log';

/** What is asked for: only submits cost. */
export type RunwareRoute = 'submit' | 'look' | 'file' | 'unknown';

const uuidV4 = z.uuid({ version: 'v4' });
const air = z.string().regex(/^[\w.-]+:[\w.-]+@[\w.-]+$/);
const side = z.int().min(128).max(2048).multipleOf(64);
const base64 = z.base64().min(100);

const taskSchema = z.strictObject({
  taskType: z.literal('imageInference'),
  taskUUID: uuidV4,
  deliveryMethod: z.literal('async'),
  outputType: z.enum(['URL', 'base64Data', 'dataURI']),
  outputFormat: z.enum(['JPG', 'PNG', 'WEBP']),
  includeCost: z.boolean(),
  numberResults: z.int().min(1).max(20),
  model: air,
  positivePrompt: z.string().min(2).max(3000),
  negativePrompt: z.string().min(2).max(3000).optional(),
  width: side,
  height: side,
  seed: z.int().min(1),
  steps: z.int().min(1).max(100).optional(),
  CFGScale: z.number().min(0).max(50).optional(),
  seedImage: base64.optional(),
  maskImage: base64.optional(),
  strength: z.number().min(0).max(1).optional(),
  controlNet: z
    .array(
      z.strictObject({
        model: air,
        guideImage: base64,
        weight: z.number().min(0).max(1),
        controlMode: z.enum(['balanced', 'prompt', 'controlnet']),
      }),
    )
    .optional(),
  lora: z.array(z.strictObject({ model: air, weight: z.number().min(-4).max(4) })).optional(),
  safety: z.strictObject({ checkContent: z.boolean() }).optional(),
});

/** A task as the fake took it. */
export type Task = z.infer<typeof taskSchema>;

const lookSchema = z.strictObject({ taskType: z.literal('getResponse'), taskUUID: uuidV4 });

/** The fake, as Runware's REST API behaves by its documentation. */
export interface RunwareServer extends ScriptedUpstream<RunwareRoute> {
  readonly baseUrl: string;
  /** How often it was asked for something that costs. */
  readonly submits: number;
  /** Every task that it took. */
  readonly tasks: readonly Task[];
  /** What a task is answered with from now on, in the place of an image: an error's code. */
  fail(code: string): void;
  /** Has images be flagged as unsafe. */
  flag(): void;
  /** Takes tasks without an answer, for a behaviour that answers in another way. */
  readonly take: Behaviour;
}

/** Options of `startRunwareServer`. */
export interface RunwareServerOptions {
  /** How often a task is `processing` before it is done. Default 1. */
  readonly looks?: number;
  /** What each image costs, in USD; `undefined` to say nothing. */
  readonly cost?: number | undefined;
}

/** Starts the fake on a free port. */
export async function startRunwareServer(options: RunwareServerOptions = {}): Promise<RunwareServer> {
  const { looks, cost } = { looks: 1, cost: 0.0013, ...options };
  const jobs = new Map<string, { task: Task; looksLeft: number }>();
  const tasks: Task[] = [];
  let failure: string | undefined;
  let unsafe = false;

  const upstream = await startScriptedUpstream<RunwareRoute>((method, url, body) => {
    if (method === 'GET' && url.pathname.startsWith('/image/')) return { name: 'file', answer: sendFile };
    if (method !== 'POST' || url.pathname !== '/v1') return { name: 'unknown', answer: runwareError(404, 'notFound') };
    const asks = body.includes('"getResponse"');
    return asks ? { name: 'look', answer: authorised(look) } : { name: 'submit', answer: authorised(submit) };
  });

  function authorised(answer: (request: ReceivedRequest<string>) => Behaviour): Behaviour {
    return (response, request) => {
      const known = request.headers.authorization === `Bearer ${RUNWARE_KEY}`;
      (known ? answer(request) : runwareError(401, 'invalidApiKey'))(response, request);
    };
  }

  function submit({ body }: ReceivedRequest<string>): Behaviour {
    const parsed = z.array(taskSchema).min(1).safeParse(JSON.parse(body.toString()));
    if (!parsed.success) return runwareError(400, 'invalidParameter');
    const taken = parsed.data.filter(({ taskUUID }) => jobs.has(taskUUID));
    if (taken.length > 0)
      return taskErrors(
        taken.map(({ taskUUID }) => ({ taskUUID, code: 'conflictTaskUUID' })),
        400,
      );
    keep(parsed.data);
    return json({ data: parsed.data.map(({ taskType, taskUUID }) => ({ taskType, taskUUID })) });
  }

  function keep(asked: readonly Task[]): void {
    for (const task of asked) {
      tasks.push(task);
      jobs.set(task.taskUUID, { task, looksLeft: looks });
    }
  }

  function look({ body }: ReceivedRequest<string>): Behaviour {
    const asked = z.array(lookSchema).min(1).parse(JSON.parse(body.toString()));
    const data: object[] = [];
    const errors: object[] = [];
    for (const { taskUUID } of asked) {
      const job = jobs.get(taskUUID);
      if (job === undefined) errors.push(errorOf(taskUUID, 'taskNotFound'));
      else if (job.looksLeft > 0) data.push(processing(job));
      else if (failure !== undefined) errors.push(errorOf(taskUUID, failure));
      else data.push(resultOf(job.task));
    }
    return json({ data, ...(errors.length > 0 ? { errors } : {}) });
  }

  function processing(job: { task: Task; looksLeft: number }): object {
    job.looksLeft -= 1;
    const { taskType, taskUUID } = job.task;
    return { taskType, taskUUID, status: 'processing' };
  }

  function resultOf({ taskType, taskUUID, seed, safety }: Task): object {
    const imageURL = `${upstream.url}/image/${taskUUID}.png`;
    const flagged = safety === undefined ? {} : { NSFWContent: unsafe };
    return { taskType, taskUUID, status: 'success', imageUUID: taskUUID, imageURL, seed, cost, ...flagged };
  }

  const sendFile: Behaviour = (response, { path }) => {
    const id = path.slice('/image/'.length, -'.png'.length);
    const task = jobs.get(id)?.task;
    if (task === undefined) {
      response.writeHead(404).end();
      return;
    }
    void solidPng(task, task.seed).then((bytes) => response.writeHead(200, { 'content-type': 'image/png' }).end(bytes));
  };

  return {
    ...upstream,
    baseUrl: `${upstream.url}/v1`,
    tasks,
    get submits() {
      return upstream.count('submit');
    },
    fail: (code) => {
      failure = code;
    },
    flag: () => {
      unsafe = true;
    },
    take: (_response, { body }) => keep(z.array(taskSchema).parse(JSON.parse(body.toString()))),
  };
}

/** An error of the whole request, as Runware sends it. */
export function runwareError(status: number, code: string, headers: Record<string, string> = {}): Behaviour {
  return json({ errors: [{ code, message: 'UPSTREAM-TEXT that no caller may see' }] }, status, headers);
}

/** Errors of single tasks. */
export function taskErrors(errors: readonly { taskUUID: string; code: string }[], status = 200): Behaviour {
  return json({ data: [], errors: errors.map(({ taskUUID, code }) => errorOf(taskUUID, code)) }, status);
}

function errorOf(taskUUID: string, code: string): object {
  return { code, status: 'error', message: 'UPSTREAM-TEXT that no caller may see', taskUUID };
}
