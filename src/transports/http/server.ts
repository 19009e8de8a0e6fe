import type { IncomingMessage, Server } from 'node:http';
import { METHODS } from 'node:http';
import type { Duplex } from 'node:stream';
import websocket from '@fastify/websocket';
import type { FastifyBaseLogger, FastifyReply, FastifyRequest } from 'fastify';
import fastify, { LogController } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import { v7 as uuidv7 } from 'uuid';
import { z } from 'zod';
import type { Config } from '../../config/schema.ts';
import { AppError, asAppError } from '../../errors.ts';
import { renderRequestFields } from '../../messages/fields.ts';
import { createHostCheck } from './host.ts';
import { readOnlyJson } from './json-body.ts';
import { maxConnections } from './max-connections.ts';
import { addDocumentation } from './openapi.ts';
import { answerOrigins, createOriginCheck, originsOf } from './origin.ts';
import { fromHttpError, PROBLEM_TYPE, toProblem } from './problem.ts';
import { securityHeaders } from './security-headers.ts';
import { createKnownRoutes, notServed } from './unknown-routes.ts';

const MIB = 1024 * 1024;

/** Largest frame that an event client may send, in bytes. */
const MAX_FRAME = 65_536;

/** The route of @fastify/cors for what browsers ask before a request; by itself it serves nothing. */
const ANY_PATH = '*';

/** How long answers that are under way have at the end, in ms: by then every render has ended or gone back. */
const CLOSE_MS = 2000;

/** Options of `createHttpServer`. */
export interface HttpServerOptions {
  readonly config: Config['http'];
  readonly log: FastifyBaseLogger;
  readonly version: string;
  /** Hears every answered request, by route template. */
  onAnswer(request: { method: string; route: string; status: number; seconds: number }): void;
  /** Hears of a connection that is closed at once because there are too many. */
  onRefused(): void;
  /** Says goodbye to open WebSockets; the server closes only when they are gone. */
  closeSockets(): Promise<void>;
}

/** The HTTP server without its routes: limits, errors, checks of host and origin, documentation. */
export type HttpServer = Awaited<ReturnType<typeof createHttpServer>>;

/** Creates the server; `listen` starts it. */
export async function createHttpServer(options: HttpServerOptions) {
  const { config, log, version, onAnswer, onRefused, closeSockets } = options;
  const routes = createKnownRoutes();
  const webSocketPaths = new Set<string>();
  const origins = originsOf(config.allowed_origins);
  const app = fastify({
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true }),
    // A logger for each request would cost more than most requests do; what is logged names its request itself.
    childLoggerFactory: (logger) => logger,
    bodyLimit: Math.floor(config.max_body_mb * MIB),
    genReqId: requestIds(),
    forceCloseConnections: 'idle',
    requestTimeout: 30_000,
    // The header limit must be the smaller one, else Node swaps the two; see also the interval of its checks.
    http: {
      headersTimeout: 10_000,
      connectionsCheckingInterval: 1000,
      // Checked below, since Node's own answer has no body.
      requireHostHeader: false,
      // Whatever else a client would like to upgrade to is answered as plain HTTP, as curl and Java expect.
      shouldUpgradeCallback: (request) => webSocketPaths.has(pathOf(request)) && isWebSocket(request),
    },
    routerOptions: { maxParamLength: 1024 },
    // Of these the hooks below hear nothing.
    frameworkErrors: (error, request, reply) =>
      void answerError(error, request, reply.header('x-request-id', request.id)),
    clientErrorHandler,
  }).withTypeProvider<ZodTypeProvider>();
  app.server.maxConnections = await maxConnections();
  app.server.on('drop', onRefused);
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.setErrorHandler(answerError);
  readOnlyJson(app);
  app.addHook('onRoute', ({ method, url, wsHandler }) => {
    if (url !== ANY_PATH) routes.add(method, url);
    if (wsHandler !== undefined) webSocketPaths.add(url);
  });

  await app.register(websocket, {
    options: { maxPayload: MAX_FRAME },
    preClose: (done) => void closeSockets().finally(done),
    // ws has said why it ends the connection; cutting it off would lose that.
    errorHandler: (error, _socket, request) =>
      request.log.info({ err: error }, 'a WebSocket client broke the protocol'),
  });

  // Hooks that wait for nothing are no promises: each of them would cost every request some.
  const checkHost = createHostCheck(config);
  const checkOrigin = createOriginCheck(origins);
  app.addHook('onRequest', (request, _reply, done) => {
    checkHost(request);
    checkOrigin(request);
    done();
  });
  if (origins.size > 0) await answerOrigins(app, origins);
  let giveUp: NodeJS.Timeout | undefined;
  const safety = securityHeaders({ shared: origins.size > 0 });
  app.addHook('onSend', (request, reply, _payload, done) => {
    void reply.headers(safety).header('x-request-id', request.id);
    // Else the connection would be kept for a next request, and the server could not end.
    if (giveUp !== undefined) void reply.header('connection', 'close');
    done();
  });
  app.addHook('onResponse', (request, reply, done) => {
    const route = request.routeOptions.url ?? 'other';
    const method = METHODS.includes(request.method) ? request.method : 'other';
    onAnswer({ method, route, status: reply.statusCode, seconds: reply.elapsedTime / 1000 });
    done();
  });

  const refuseUnknown = (request: FastifyRequest, reply: FastifyReply): never => {
    const methods = routes.methodsOf(request.url);
    // A route that found nothing itself, as the one of the documentation's files.
    const allowed = methods.includes(request.method) ? [] : methods;
    if (allowed.length > 0) void reply.header('allow', allowed.join(', '));
    throw notServed(allowed);
  };
  // Before the body is read: at a wrong address it does not matter what is wrong with it.
  app.addHook('onRequest', (request, reply, done) => {
    if (request.is404 || request.routeOptions.url === ANY_PATH) refuseUnknown(request, reply);
    done();
  });
  app.setNotFoundHandler(async (request, reply) => refuseUnknown(request, reply));

  app.addHook('preClose', async () => {
    // Node waits for every connection, also for one whose request never comes to its end.
    giveUp = setTimeout(() => app.server.closeAllConnections(), CLOSE_MS);
  });
  app.addHook('onClose', async () => clearTimeout(giveUp));

  // After the hooks, which would not reach its pages otherwise.
  await addDocumentation(app, version);
  return app;
}

/** Names of HTTP requests: unique across restarts, and cheap. */
function requestIds(): () => string {
  const prefix = uuidv7();
  let last = 0;
  return () => {
    last += 1;
    return `${prefix}-${last}`;
  };
}

/** Starts to listen; resolves with the address, as in `http://127.0.0.1:8080`. Throws `port_in_use` naming the port. */
export async function listen(app: HttpServer, { host, port }: Config['http']): Promise<string> {
  try {
    await app.listen({ host, port });
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'EADDRINUSE') {
      throw new AppError('port_in_use', `Port ${port} of ${host} is taken by another process; see [http] port.`);
    }
    if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND' || code === 'EACCES') {
      throw new AppError('config_invalid', `[http] host, port: this machine cannot listen on ${host} port ${port}.`);
    }
    throw error;
  }
  const address = (app.server as Server).address();
  const actual = typeof address === 'object' && address !== null ? address.port : port;
  return `http://${hostInUrl(host)}:${actual}`;
}

/** A host as it stands in a URL; a wildcard is reachable at loopback at least. */
function hostInUrl(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1';
  return host.includes(':') ? `[${host}]` : host;
}

function pathOf({ url }: IncomingMessage): string {
  return url?.split('?', 1)[0] ?? '';
}

function isWebSocket({ method, headers }: IncomingMessage): boolean {
  const named = headers.upgrade?.toLowerCase() === 'websocket';
  return named && method === 'GET' && headers['sec-websocket-version'] === '13';
}

async function answerError(thrown: unknown, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const error = fromHttpError(thrown, request.routeOptions?.bodyLimit);
  const named = z.object({ request_id: renderRequestFields.request_id.schema }).safeParse(request.body);
  const problem = toProblem(error, named.data?.request_id ?? request.id);
  const about = { err: thrown, code: error.code, http_request_id: request.id };
  if (problem.status >= 500) request.log.error(about, 'a request failed');
  else request.log.debug(about, 'a request was refused');
  if (error.retryAfterMs !== undefined) void reply.header('retry-after', Math.ceil(error.retryAfterMs / 1000));
  // Serialised here: the route's own schema describes its good answers only.
  return reply.code(problem.status).type(PROBLEM_TYPE).serializer(JSON.stringify).send(problem);
}

/** Answers what Node could not even parse. */
function clientErrorHandler(this: unknown, error: Error & { code?: string }, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, app] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? ['431 Request Header Fields Too Large', new AppError('bad_request', 'The headers are too large.')]
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? ['408 Request Timeout', new AppError('request_timeout', 'The request did not arrive in time.')]
        : ['400 Bad Request', new AppError('bad_request', 'This is not a valid HTTP request.')];
  const body = JSON.stringify({ ...toProblem(asAppError(app), uuidv7()), status: Number(status.slice(0, 3)) });
  const head = `HTTP/1.1 ${status}\r\nContent-Type: ${PROBLEM_TYPE}\r\nContent-Length: ${Buffer.byteLength(body)}`;
  socket.end(`${head}\r\nConnection: close\r\n\r\n${body}`);
}
