import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { type Context, Hono } from 'hono'
import { badRequest, ImgapiError, internalError, methodNotAllowed, notFound } from '../images/errors.ts'
import { type Exchange, targetPath } from './exchange.ts'
import { Query } from './query.ts'
import type { Handler } from './server.ts'

/** The router of all protocols: finds the operation of a request, and turns errors into answers. */

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE'

/** The part of an operation that the router needs, whatever the protocol. */
export interface Route {
  /** The name in the log, the metrics and the documentation. */
  readonly name: string
  readonly method: Method
  /** As hono writes paths: `/images/:uuid`. */
  readonly path: string
  /**
   * The query parameters that select it among operations with the same method and path: a value, or true for any.
   * The operation with most of them wins.
   */
  readonly when?: Readonly<Record<string, string | true>>
  /** What the caller must be allowed to do. */
  readonly access: Access
  /** One sentence for the documentation. */
  readonly summary: string
}

/**
 * `public`: requires nothing, even if anonymous callers may read nothing. `read`: requires what `anonymous` in the
 * config says. `change`: requires valid credentials. `operator`: requires valid credentials, and refuses requests that
 * are made for an `account`.
 */
export type Access = 'public' | 'read' | 'change' | 'operator'

/** A protocol: its routes, and how it answers and reports errors. */
export interface Protocol<R extends Route> {
  readonly routes: readonly R[]
  /** Prefix of operation names in the log. */
  readonly logPrefix?: string
  /** Prefix of all paths. */
  readonly prefix?: string
  /** Answers a request for an operation. `parameters`: the named parts of the path, decoded. */
  answer(route: R, exchange: Exchange, parameters: Readonly<Record<string, string>>): Promise<Response>
  /** Writes an error in the protocol's form. */
  renderError(exchange: Exchange, error: ImgapiError): Response
  /** Whether paths are compared as sent; otherwise repeated slashes and a slash at the end are ignored. */
  readonly hasExactPaths?: boolean
  /** Returns whether GET requests of a route change something, so that HEAD is not allowed. */
  changesByGet?(route: R): boolean
  /** Answers a request with a method that the path does not have; undefined means MethodNotAllowedError. */
  onWrongMethod?(exchange: Exchange, methods: readonly string[]): Response | undefined
  /** Answers a request for a path that does not exist; undefined means ResourceNotFound. */
  onUnknownPath?(exchange: Exchange, path: string): Response | undefined
}

type Env = { Bindings: Exchange }

/** Creates the handler of a protocol, which never rejects. */
export function createRouter<R extends Route>(protocol: Protocol<R>): Handler {
  const { prefix = '' } = protocol
  const getPath = protocol.hasExactPaths ? exactPath : normalizedPath
  const app = new Hono<Env>({ getPath })
  const groups = groupRoutes(protocol.routes)
  for (const group of groups) {
    const { method, path } = group[0]!
    app.on(method, `${prefix}${path}`, context => run(protocol, group, context))
  }
  const fallback = createFallback(protocol, groups, prefix, getPath)
  app.notFound(({ env, req }) => fallback.fetch(req.raw, env))
  return async (request, exchange) => {
    await app.fetch(request, exchange)
    // Operations write their answers themselves. For HEAD, Hono creates another one, which must not be sent too.
    return RESPONSE_ALREADY_SENT
  }
}

/** Groups routes by method and path; in a group, routes with more selecting parameters come first. */
export function groupRoutes<R extends Route>(routes: readonly R[]): (readonly R[])[] {
  const groups = new Map<string, R[]>()
  for (const route of routes) {
    const key = `${route.method} ${route.path}`
    const group = groups.get(key)
    if (group) group.push(route)
    else groups.set(key, [route])
  }
  const narrowness = ({ when = {} }: R) => Object.keys(when).length
  return [...groups.values()].map(group => group.toSorted((a, b) => narrowness(b) - narrowness(a)))
}

/**
 * Creates the app that answers requests without an operation: an unknown path, or a method that the path does not have.
 * It is a separate app, because Hono calls the only handler of a request faster than a chain of handlers.
 */
function createFallback<R extends Route>(
  protocol: Protocol<R>,
  groups: (readonly R[])[],
  prefix: string,
  getPath: typeof exactPath,
) {
  const app = new Hono<Env>({ getPath })
  const methods = new Map<string, string[]>()
  for (const [route] of groups as [R][]) {
    methods.set(route.path, [...(methods.get(route.path) ?? []), ...methodsOf(protocol, route)])
  }
  for (const [path, own] of methods) {
    const offered = own.includes('HEAD') ? [...own.filter(method => method !== 'HEAD'), 'HEAD'] : own
    app.all(`${prefix}${path}`, ({ env }) => wrongMethod(protocol, offered, env))
  }
  app.notFound(({ env, req }) => {
    const error = notFound(`${req.path} does not exist`)
    return protocol.onUnknownPath?.(env, req.path) ?? protocol.renderError(env, error)
  })
  return app
}

const methodsOf = <R extends Route>(protocol: Protocol<R>, route: R): string[] =>
  route.method === 'GET' && !protocol.changesByGet?.(route) ? ['GET', 'HEAD'] : [route.method]

function wrongMethod<R extends Route>(protocol: Protocol<R>, methods: readonly string[], exchange: Exchange) {
  const answer = protocol.onWrongMethod?.(exchange, methods)
  if (answer) return answer
  return protocol.renderError(exchange, methodNotAllowed(exchange.incoming.method, methods))
}

/** Returns the path as sent, in which `..` is not resolved. */
const exactPath = (request: Request, options?: { env?: Exchange }): string =>
  targetPath(options?.env?.incoming ?? request)

/** Returns the path without repeated slashes and a slash at the end, which old clients send. */
function normalizedPath(request: Request, options?: { env?: Exchange }): string {
  const path = exactPath(request, options)
  if (!path.includes('//') && (path.length === 1 || !path.endsWith('/'))) return path
  return path.replace(/\/+/g, '/').replace(/(.)\/$/, '$1')
}

async function run<R extends Route>(
  protocol: Protocol<R>,
  group: readonly R[],
  { env, req }: Context<Env>,
): Promise<Response> {
  const { logPrefix = '' } = protocol
  env.route = `${logPrefix}${group.at(-1)!.name}`
  try {
    if (!isDecodable(req.path)) {
      const error = badRequest('URI malformed')
      return protocol.onUnknownPath?.(env, req.path) ?? protocol.renderError(env, error)
    }
    const route = group.length === 1 ? group[0]! : select(group, env)
    env.route = `${logPrefix}${route.name}`
    if (env.incoming.method === 'HEAD' && protocol.changesByGet?.(route)) {
      return wrongMethod(protocol, [route.method], env)
    }
    return await protocol.answer(route, env, req.param())
  } catch (error) {
    return failure(protocol, env, error)
  }
}

/** Returns the first route that the query selects, or else the last one, which needs no parameter. */
function select<R extends Route>(group: readonly R[], { incoming: { url = '' } }: Exchange): R {
  const question = url.indexOf('?')
  if (question === -1) return group.at(-1)!
  const query = new Query(url.slice(question + 1))
  const isMeant = ({ when = {} }: R) =>
    Object.entries(when).every(([name, value]) => {
      const given = query.all(name)
      return value === true ? given.length > 0 : given.length === 1 && given[0] === value
    })
  return group.find(isMeant) ?? group.at(-1)!
}

function isDecodable(path: string): boolean {
  if (!path.includes('%')) return true
  try {
    decodeURIComponent(path)
    return true
  } catch {
    return false
  }
}

/** Renders an error as an answer. Unexpected errors are logged and not shown to the client. */
function failure<R extends Route>(protocol: Protocol<R>, exchange: Exchange, error: unknown): Response {
  const isKnown = error instanceof ImgapiError
  if (!isKnown || error.status >= 500 || exchange.outgoing.headersSent) exchange.error = error
  if (exchange.outgoing.headersSent) {
    exchange.outgoing.destroy()
    return RESPONSE_ALREADY_SENT
  }
  const message = `internal error; the server's log has the details under request id ${exchange.id}`
  return protocol.renderError(exchange, isKnown ? error : internalError(message))
}
