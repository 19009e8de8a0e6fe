import { isUtf8 } from 'node:buffer';
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
    if (isUtf8(bytes)) void parse(request, bytes.toString(), done);
    else done(new AppError('malformed_json', 'The body is not valid UTF-8.'));
  });
}
