import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { Hono } from 'hono'
import { ImgapiError } from '../images/errors.ts'
import { type ApiContext, ApiRequest } from './api-request.ts'
import { type Exchange, targetPath } from './exchange.ts'
import { OPERATIONS } from './imgapi/index.ts'
import type { Operation } from './operation.ts'
import { Renderings } from './renderings.ts'
import { emptyResponse, errorResponse } from './respond.ts'
import type { Handler } from './server.ts'
import type { Service } from './service.ts'

const CORS_HEADERS = 'accept, accept-version, content-type, request-id, origin, x-api-version, x-request-id'

/** The whole HTTP side of a server: it listens to nothing and reads no config. */
export function createApp(service: Service): Handler {
  const app = new Hono<{ Bindings: Exchange }>({ getPath })
  const renderings = new Renderings()
  const operations = OPERATIONS.filter(operation => operation.isOffered?.(service) ?? true)
  for (const operation of operations) {
    app.on(operation.method, operation.path, context => run(service, renderings, operation, context))
  }
  const others = otherwise(service, operations)
  app.notFound(({ env, req }) => others.fetch(req.raw, env))
  return async (request, exchange) => {
    await app.fetch(request, exchange)
    // Every answer is written by its operation. Hono makes another of it for HEAD, which must not be sent too.
    return RESPONSE_ALREADY_SENT
  }
}

/**
 * What is no operation: a method that a path does not have, or a path that is not there. An app of its own, for
 * an app that has but one handler for a request hands it over without the machinery of a chain.
 */
function otherwise(service: Service, operations: readonly Operation[]) {
  const app = new Hono<{ Bindings: Exchange }>({ getPath })
  for (const path of new Set(operations.map(operation => operation.path))) {
    const methods: string[] = operations
      .filter(operation => operation.path === path)
      .map(({ method }): string => method)
    app.all(path, context => wrongMethod(service, methods, context))
  }
  app.notFound(({ env, req }) => {
    const error = new ImgapiError('ResourceNotFound', `${req.path} does not exist`)
    return errorResponse(env, service.serverName, error)
  })
  return app
}

/**
 * The path as it was sent: a `..` in it is a name that does not exist, not a way to somewhere else. Old clients
 * double slashes and append them; neither makes another resource.
 */
function getPath(request: Request, options?: { env?: Exchange }): string {
  const path = targetPath(options?.env?.incoming ?? request)
  if (!path.includes('//') && (path.length === 1 || !path.endsWith('/'))) return path
  return path.replace(/\/+/g, '/').replace(/(.)\/$/, '$1')
}

async function run(
  service: Service,
  renderings: Renderings,
  operation: Operation,
  { env, req }: ApiContext,
): Promise<Response> {
  env.route = operation.name
  try {
    checkPath(req.path)
    return await operation.handle(new ApiRequest(service, renderings, { env, req } as ApiContext))
  } catch (error) {
    return failure(service, env, error)
  }
}

/** Throws BadRequestError for a path that cannot be decoded. */
function checkPath(path: string) {
  if (!path.includes('%')) return
  try {
    decodeURIComponent(path)
  } catch {
    throw new ImgapiError('BadRequestError', 'URI malformed')
  }
}

/** Turns whatever went wrong into an answer; what is not the client's doing is told to the log alone. */
function failure(service: Service, exchange: Exchange, error: unknown): Response {
  if (exchange.outgoing.headersSent) {
    exchange.error = error
    exchange.outgoing.destroy()
    return RESPONSE_ALREADY_SENT
  }
  if (error instanceof ImgapiError) {
    if (error.status >= 500) exchange.error = error
    return errorResponse(exchange, service.serverName, error)
  }
  exchange.error = error
  const message = `internal error; the server's log has the details under request id ${exchange.id}`
  return errorResponse(exchange, service.serverName, new ImgapiError('InternalError', message))
}

/** A path that is there with a method that is not: 405, or the answer to a browser that asks beforehand. */
function wrongMethod(service: Service, offered: string[], { env, req }: ApiContext): Response {
  const methods = offered.includes('GET') ? [...offered, 'HEAD'] : offered
  const wanted = req.header('access-control-request-method')
  if (req.method === 'OPTIONS' && req.header('origin') && wanted && methods.includes(wanted)) {
    env.route = 'Preflight'
    return emptyResponse(env, service.serverName, 200, {
      'Access-Control-Allow-Origin': '*',
      'Access-Control-Allow-Methods': methods.join(', '),
      'Access-Control-Allow-Headers': CORS_HEADERS,
      'Access-Control-Max-Age': '3600',
      'Content-Length': '0',
    })
  }
  const error = new ImgapiError('MethodNotAllowedError', `${req.method} is not allowed`, {
    headers: { Allow: methods.join(', ') },
  })
  return errorResponse(env, service.serverName, error)
}
