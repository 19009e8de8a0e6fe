import { z } from 'zod';

const state = z.enum(['ok', 'degraded', 'failed']);

/** How the server is, part by part. */
export const healthReport = z
  .object({
    status: state,
    version: z.string(),
    uptime_s: z.int(),
    parts: z.record(z.string(), z.object({ status: state, reason: z.string().optional() })),
  })
  .meta({ id: 'Health' });
/** A report of `healthReport`. */
export type HealthReport = z.infer<typeof healthReport>;
