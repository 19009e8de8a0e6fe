import { AppError } from '../../errors.ts';

/** What messages call the provider. */
export const PROVIDER = 'fal.ai';

/** The provider's rules do not allow what was asked for. */
export function rejected(): AppError {
  return new AppError('content_rejected', `${PROVIDER} refuses this content.`);
}
