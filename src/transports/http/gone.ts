import type { ServerResponse } from 'node:http';

/** Aborts when the answer is over or its client has gone. `request.signal` does when the request's body has been read. */
export function goneSignal({ raw }: { readonly raw: ServerResponse }): AbortSignal {
  const gone = new AbortController();
  // Who has gone already does so no more.
  if (raw.destroyed) gone.abort();
  else raw.once('close', () => gone.abort());
  return gone.signal;
}
