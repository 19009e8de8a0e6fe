/** What messages call the provider. */
export const PROVIDER = 'Runware';
