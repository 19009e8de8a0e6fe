import { z } from 'zod';

/** A result, or where a task stands. */
export const resultSchema = z.object({
  taskUUID: z.string(),
  status: z.string().nullish(),
  imageURL: z.string().nullish(),
  imageBase64Data: z.string().nullish(),
  imageDataURI: z.string().nullish(),
  cost: z.number().min(0).nullish().catch(undefined),
  NSFWContent: z.boolean().nullish(),
});
/** A result of `resultSchema`. */
export type TaskResult = z.infer<typeof resultSchema>;

/** Why a task has failed; without `taskUUID`, why the whole request has. */
export const taskErrorSchema = z.object({ code: z.string().catch('unknown'), taskUUID: z.string().nullish() });
/** An error of `taskErrorSchema`. */
export type TaskError = z.infer<typeof taskErrorSchema>;

/** Every answer, of whatever HTTP status. */
export const answerSchema = z.union([
  z.object({ data: z.array(resultSchema), errors: z.array(taskErrorSchema).optional() }),
  z.object({ data: z.array(resultSchema).optional(), errors: z.array(taskErrorSchema) }),
]);

/** An answer, taken apart. */
export interface Answer {
  readonly results: readonly TaskResult[];
  readonly errors: readonly TaskError[];
}
