import { createHash } from 'node:crypto';
import { z } from 'zod';
import { png } from '../generators/png.ts';
import type { Behaviour, ScriptedUpstream } from './scripted-upstream.ts';
import { json, startScriptedUpstream } from './scripted-upstream.ts';

/** What requests to the fake ask for. */
export type ModelServerRoute = 'generate' | 'healthcheck' | 'other';

/** What the server demands of a request to draw. */
const generateRequest = z
  .object({
    prompt: z.string().min(1).max(1000),
    negative_prompt: z.string().max(1000).nullish(),
    depth_map_b64: z.string().nullish(),
    mock_depth: z.boolean().default(false),
    model: z.enum(['lightning', 'hyper', 'base']),
    controlnet: z.enum(['sdxl_small', 'llite']),
    steps: z.int().min(1).max(50).nullish(),
    cfg: z.number().min(0.1).max(20).nullish(),
    seed: z.int().min(0).nullish(),
    loras: z.array(z.object({ name: z.string(), strength: z.number().min(0).max(2) })).nullish(),
    controlnet_strength: z.number().min(0).max(2),
    control_guidance_start: z.number().min(0).max(1),
    control_guidance_end: z.number().min(0).max(1),
    scheduler: z.enum(['auto', 'euler', 'euler_a', 'dpm_multi', 'dpm_single', 'ddim', 'lcm']),
    use_karras_sigmas: z.boolean().nullish(),
    width: z.int().min(256).max(2048).multipleOf(64),
    height: z.int().min(256).max(2048).multipleOf(64),
    enable_deepcache: z.boolean(),
    use_jpeg: z.boolean(),
  })
  .refine((request) => request.depth_map_b64 || request.mock_depth)
  .refine((request) => request.control_guidance_start <= request.control_guidance_end);

/** A request to draw that the server accepts. */
export type GenerateRequest = z.infer<typeof generateRequest>;

/** Experimance's model server as its clients see it. */
export interface FakeModelServer extends ScriptedUpstream<ModelServerRoute> {
  /** What it was asked to draw, in order. */
  readonly drawn: readonly GenerateRequest[];
  /** What its health check says from now on. */
  status(status: string, rest?: Record<string, unknown>): void;
}

/** Starts the fake on a free port. */
export async function startModelServer(): Promise<FakeModelServer> {
  const drawn: GenerateRequest[] = [];
  let health: Record<string, unknown> = {};
  const status: FakeModelServer['status'] = (word, rest = {}) => {
    health = { status: word, model_server_healthy: true, ready_for_inference: true, uptime: 1, ...rest };
  };
  status('ready', { models_loaded: ['lightning'], models_available: ['lightning', 'hyper', 'base'] });

  const generate: Behaviour = (response, received) => {
    const request = generateRequest.safeParse(JSON.parse(String(received.body)));
    if (!request.success) {
      const detail = request.error.issues.map(({ path, message }) => ({ loc: ['body', ...path], msg: message }));
      json({ detail }, 422)(response, received);
      return;
    }
    drawn.push(request.data);
    json(succeeded(request.data))(response, received);
  };

  const upstream = await startScriptedUpstream<ModelServerRoute>((method, { pathname }) => {
    if (method === 'POST' && pathname === '/generate') return { name: 'generate', answer: generate };
    if (method === 'GET' && pathname === '/healthcheck') {
      return { name: 'healthcheck', answer: (response, request) => json(health)(response, request) };
    }
    return { name: 'other', answer: json({ detail: 'Not Found' }, 404) };
  });
  return { ...upstream, drawn, status };
}

/** Its answer when it has drawn: the same image for the same request. */
export function succeeded(request: GenerateRequest, image_b64 = drawnImage(request).toString('base64')) {
  const { seed = null, model } = request;
  return {
    success: true,
    image_b64,
    error_message: null,
    generation_time: 1.8,
    seed_used: seed,
    model_used: model,
    metadata: {},
  };
}

/** Its answer when it has not, with HTTP 200 all the same. */
export function failed(): Behaviour {
  const unused = { image_b64: null, generation_time: null, seed_used: null, model_used: null, metadata: null };
  return json({ success: false, error_message: 'UPSTREAM-TEXT: CUDA out of memory', ...unused });
}

function drawnImage({ width, height, ...rest }: GenerateRequest): Buffer {
  const [r = 0, g = 0, b = 0] = createHash('sha256').update(JSON.stringify(rest)).digest();
  return png({ width, height }, () => [r, g, b]);
}
