import { z } from 'zod';
import type { Config } from '../../config/schema.ts';
import { AppError } from '../../errors.ts';
import type { Clock } from '../../render/clock.ts';
import type { Work } from '../generator.ts';
import { malformedAnswer, statusFailure, submitting } from '../remote/failures.ts';
import type { UpstreamAnswer, UpstreamHttp } from '../remote/http.ts';
import { readJson } from '../remote/json.ts';
import { lorasOfEra } from './loras.ts';

/** What messages call the server. */
export const PROVIDER = 'The model server';

const HEALTH_MS = 10_000;
const MAX_PROMPT = 1000;
const MAX_STEPS = 50;
const MAX_GUIDANCE = 20;
const MIN_GUIDANCE = 0.1;
const MAX_STRENGTH = 2;

const health = z.object({
  status: z.string(),
  model_server_healthy: z.boolean().nullish(),
  ready_for_inference: z.boolean().nullish(),
});
const generated = z.object({
  success: z.boolean(),
  image_b64: z.string().nullish(),
  generation_time: z.number().nullish(),
});

/** How the server is: `usable`, `loading`, or `failed`. */
export type ServerState = 'usable' | 'loading' | 'failed';

/** What the server draws, as it sends it. */
export interface DrawnImage {
  /** Base64 of a JPEG or PNG. */
  readonly base64: string;
  /** That the GPU took. */
  readonly seconds: number;
}

/** The model server's HTTP interface. */
export interface ModelServer {
  /** Throws `upstream_failed` or `upstream_timeout` when it cannot be reached. */
  look(signal: AbortSignal): Promise<ServerState>;
  /**
   * Has one image drawn, and waits for it; `onSent` hears that the request leaves. Throws `generator_failed` when the
   * server says that it could not.
   */
  generate(work: Work, seed: number, signal: AbortSignal, onSent: () => void): Promise<DrawnImage>;
}

/** Options of `createModelServer`. */
export interface ModelServerOptions {
  readonly http: UpstreamHttp;
  readonly clock: Clock;
  readonly config: Config['vastai'];
}

/** Creates the client of the model server at `base_url`. */
export function createModelServer({ http, clock, config }: ModelServerOptions): ModelServer {
  const base = (config.base_url ?? '').replace(/\/$/, '');
  const failure = (answer: UpstreamAnswer, submits: boolean) =>
    statusFailure(answer, { provider: PROVIDER, clock, submits });

  return {
    async look(signal) {
      const answer = await http.exchange({ method: 'GET', url: `${base}/healthcheck`, signal, timeoutMs: HEALTH_MS });
      if (answer.status !== 200) throw failure(answer, false);
      return stateOf(readJson(health, answer.body, PROVIDER));
    },

    async generate(work, seed, signal, onSent) {
      checkLimits(work);
      const answer = await submitting(config.resubmit_unknown, () =>
        http.exchange({
          method: 'POST',
          url: `${base}/generate`,
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(requestOf(work, seed, config)),
          signal,
          submits: true,
          onSent,
        }),
      );
      if (answer.status !== 200) throw failure(answer, true);
      const { success, image_b64, generation_time } = readJson(generated, answer.body, PROVIDER);
      // It answers 200 when it has failed as well. Its reason stays its own: it may quote the prompt.
      if (!success) throw new AppError('generator_failed', `${PROVIDER} could not draw the image.`);
      if (!image_b64) throw malformedAnswer(PROVIDER);
      return { base64: image_b64, seconds: generation_time ?? 0 };
    },
  };
}

function stateOf({ status, model_server_healthy, ready_for_inference }: z.infer<typeof health>): ServerState {
  if (status === 'error') return 'failed';
  if (model_server_healthy !== true || ready_for_inference === false) return 'loading';
  return ['ready', 'ready_basic', 'loading_models', 'healthy'].includes(status) ? 'usable' : 'loading';
}

/** What the server would refuse, said before it is asked. */
function checkLimits({ prompt, negativePrompt = '', steps = 1, guidanceScale = 1, loras = [] }: Work): void {
  const limits: [field: string, holds: boolean, rule: string][] = [
    ['prompt', prompt.length <= MAX_PROMPT, `at most ${MAX_PROMPT} characters`],
    ['negative_prompt', negativePrompt.length <= MAX_PROMPT, `at most ${MAX_PROMPT} characters`],
    ['steps', steps <= MAX_STEPS, `at most ${MAX_STEPS}`],
    [
      'guidance_scale',
      guidanceScale >= MIN_GUIDANCE && guidanceScale <= MAX_GUIDANCE,
      `from ${MIN_GUIDANCE} to ${MAX_GUIDANCE}`,
    ],
    ['loras', loras.every(({ scale }) => scale >= 0 && scale <= MAX_STRENGTH), `of scales from 0 to ${MAX_STRENGTH}`],
  ];
  const broken = limits.filter(([, holds]) => !holds);
  if (broken.length === 0) return;
  const issues = broken.map(([path, , rule]) => ({ path, message: `must be ${rule} for this generator` }));
  const text = issues.map(({ path, message }) => `${path} ${message}`).join('; ');
  throw new AppError('unsupported_field', text, { issues });
}

function requestOf(work: Work, seed: number, config: Config['vastai']): Record<string, unknown> {
  const { depthMap, loras } = work;
  return {
    prompt: work.prompt,
    negative_prompt: work.negativePrompt ?? null,
    depth_map_b64: depthMap === undefined ? null : Buffer.from(depthMap.bytes).toString('base64'),
    // Without a depth map the server makes one up; it draws from nothing else.
    mock_depth: depthMap === undefined,
    model: config.model,
    controlnet: config.controlnet,
    steps: work.steps ?? config.steps,
    cfg: work.guidanceScale ?? config.guidance_scale,
    seed,
    loras: loras?.map(({ path, scale }) => ({ name: path, strength: scale })) ?? lorasOfEra(work.era),
    controlnet_strength: config.controlnet_strength,
    control_guidance_start: config.control_guidance_start,
    control_guidance_end: config.control_guidance_end,
    scheduler: config.scheduler,
    use_karras_sigmas: null,
    width: work.width,
    height: work.height,
    enable_deepcache: config.enable_deepcache,
    use_jpeg: config.use_jpeg,
  };
}
