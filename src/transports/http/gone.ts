import type { FastifyReply } from 'fastify';

/** Aborts when the answer is over or its client has gone. `request.signal` does when the request's body has been read. */
export function goneSignal({ raw }: FastifyReply): AbortSignal {
  const gone = new AbortController();
  raw.once('close', () => gone.abort());
  return gone.signal;
}
