import type { FastifyInstance } from 'fastify';
import { AppError } from '../../errors.ts';

/**
 * Lets bodies be JSON in UTF-8 and nothing else: a form that a web page can send without asking never reaches a route,
 * and text that is damaged is refused, not repaired. Bodies with `__proto__` are refused. Throws `malformed_json`.
 */
export function readOnlyJson(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, bytes: Buffer, done) => {
    const text = decode(bytes);
    if (text === undefined) done(new AppError('malformed_json', 'The body is not valid UTF-8.'));
    else void parse(request, text, done);
  });
}

function decode(bytes: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
