import { z } from 'zod';
import type { Config } from '../../config/schema.ts';
import type { FieldIssue } from '../../errors.ts';
import { MAX_SEED } from '../../messages/fields.ts';
import { invalidRequest } from '../../messages/render-request.ts';
import type { InputImage, Work } from '../generator.ts';

/** What of the configuration goes into a task. */
export type TaskOptions = Pick<
  Config['runware'],
  'model' | 'controlnet_model' | 'controlnet_weight' | 'controlnet_mode' | 'check_content'
>;

/** An AIR identifier: `source:model@version`. */
export const AIR = /^[\w.-]+:[\w.-]+@[\w.-]+$/;

/** What the provider takes, where a `RenderRequest` may hold more. */
const limits = z.object({
  prompt: z.string().min(2, 'needs 2 characters at least').max(3000, 'may have 3000 characters at most'),
  negative_prompt: z
    .string()
    .refine((text) => text === '' || text.length >= 2, 'needs 2 characters at least')
    .max(3000, 'may have 3000 characters at most')
    .optional(),
  steps: z.int().max(100, 'may be 100 at most').optional(),
  guidance_scale: z.number().max(50, 'may be 50 at most').optional(),
  loras: z
    .array(
      z.object({
        path: z.string().regex(AIR, 'must be an AIR identifier, as in civitai:132942@146296'),
        scale: z.number().min(-4, 'may be -4 at least').max(4, 'may be 4 at most'),
      }),
    )
    .optional(),
});

/** The tasks of a work, one for each image, since each has its own seed. Throws `invalid_request`. */
export function tasksOf(work: Work, ids: readonly string[], options: TaskOptions) {
  check(work);
  const shared = sharedParameters(work, options);
  return ids.map((taskUUID, index) => ({
    taskType: 'imageInference',
    taskUUID,
    ...shared,
    seed: seedOf(work.seed + index),
  }));
}

function sharedParameters(work: Work, options: TaskOptions) {
  const { referenceImage, mask, depthMap, negativePrompt = '', loras = [] } = work;
  return {
    deliveryMethod: 'async',
    outputType: 'URL',
    outputFormat: 'PNG',
    includeCost: true,
    numberResults: 1,
    model: options.model,
    positivePrompt: work.prompt,
    ...(negativePrompt === '' ? {} : { negativePrompt }),
    width: work.width,
    height: work.height,
    ...(work.steps === undefined ? {} : { steps: work.steps }),
    ...(work.guidanceScale === undefined ? {} : { CFGScale: work.guidanceScale }),
    ...(referenceImage === undefined ? {} : startFrom(referenceImage, mask, work.strength)),
    ...(depthMap === undefined ? {} : guidedBy(depthMap, options)),
    ...(loras.length === 0 ? {} : { lora: loras.map(({ path, scale }) => ({ model: path, weight: scale })) }),
    ...(options.check_content ? { safety: { checkContent: true } } : {}),
  };
}

function startFrom(reference: InputImage, mask: InputImage | undefined, strength: number | undefined) {
  return {
    seedImage: base64(reference),
    ...(mask === undefined ? {} : { maskImage: base64(mask) }),
    ...(strength === undefined ? {} : { strength }),
  };
}

function guidedBy(depthMap: InputImage, options: TaskOptions) {
  const { controlnet_model: model, controlnet_weight: weight, controlnet_mode: controlMode } = options;
  return { controlNet: [{ model, guideImage: base64(depthMap), weight, controlMode }] };
}

/** The provider's seeds begin at 1 and go further than ours, so 0 takes the place behind our last. */
function seedOf(seed: number): number {
  const ours = seed % (MAX_SEED + 1);
  return ours === 0 ? MAX_SEED + 1 : ours;
}

function base64({ bytes }: InputImage): string {
  return Buffer.from(bytes).toString('base64');
}

function check({ prompt, negativePrompt, steps, guidanceScale, loras, mask, referenceImage }: Work): void {
  const fields = { prompt, negative_prompt: negativePrompt, steps, guidance_scale: guidanceScale, loras };
  const issues: FieldIssue[] = (limits.safeParse(fields).error?.issues ?? []).map(({ path, message }) => ({
    path: path.join('.'),
    message: `${message} for the generator runware`,
  }));
  if (mask !== undefined && referenceImage === undefined) {
    issues.push({ path: 'mask', message: 'needs a reference_image, whose parts it chooses' });
  }
  if (issues.length > 0) throw invalidRequest(issues);
}
