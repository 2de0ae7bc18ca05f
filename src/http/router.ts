import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { type Context, Hono } from 'hono'
import { ImgapiError } from '../images/errors.ts'
import { type Exchange, targetPath } from './exchange.ts'
import { Query } from './query.ts'
import type { Handler } from './server.ts'

/** One router for every protocol: finds the operation that a request asks for, and turns errors into answers. */

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE'

/** What the router needs to know of an operation, whatever its protocol. */
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
  /** What a caller needs. */
  readonly access: Access
  /** One sentence for the documentation. */
  readonly summary: string
}

/**
 * `public`: nothing, also where anonymous callers may read nothing. `read`: to be allowed to read, as `anonymous`
 * in the config says. `change`: valid credentials. `operator`: valid credentials, and no `account` on whose
 * behalf the request is made.
 */
export type Access = 'public' | 'read' | 'change' | 'operator'

export interface Protocol<R extends Route> {
  readonly routes: readonly R[]
  /** Before the operation's name in the log. */
  readonly logPrefix?: string
  /** Before every path. */
  readonly prefix?: string
  /** Answers a request for an operation. `parameters`: the named parts of the path, decoded. */
  answer(route: R, exchange: Exchange, parameters: Readonly<Record<string, string>>): Promise<Response>
  /** Writes an error in the protocol's form. */
  renderError(exchange: Exchange, error: ImgapiError): Response
  /** Whether paths count as they are sent: else doubled slashes, and one at the end, make no difference. */
  readonly hasExactPaths?: boolean
  /** Whether GET requests change something, so that HEAD cannot stand for them. */
  changesByGet?(route: R): boolean
  /** Answers a request for a path without the method, if not with MethodNotAllowedError. */
  onWrongMethod?(exchange: Exchange, methods: readonly string[]): Response | undefined
  /** Answers a request for a path that does not exist, if not with ResourceNotFound. */
  onUnknownPath?(exchange: Exchange, path: string): Response | undefined
}

type Env = { Bindings: Exchange }

/** Makes a handler that never rejects. */
export function createRouter<R extends Route>(protocol: Protocol<R>): Handler {
  const { prefix = '' } = protocol
  const getPath = protocol.hasExactPaths ? exactPath : normalizedPath
  const app = new Hono<Env>({ getPath })
  const groups = groupRoutes(protocol.routes)
  for (const group of groups) {
    const { method, path } = group[0]!
    app.on(method, `${prefix}${path}`, context => run(protocol, group, context))
  }
  const others = otherwise(protocol, groups, prefix, getPath)
  app.notFound(({ env, req }) => others.fetch(req.raw, env))
  return async (request, exchange) => {
    await app.fetch(request, exchange)
    // Every answer is written by its operation. Hono makes another of it for HEAD, which must not be sent too.
    return RESPONSE_ALREADY_SENT
  }
}

/** Routes with the same method and path, those that the query selects most narrowly first. */
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
 * What is no operation: a method that a path does not have, or a path that does not exist. An app of its own,
 * because an app with one handler for a request calls it without the machinery of a chain.
 */
function otherwise<R extends Route>(
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
    const error = new ImgapiError('ResourceNotFound', `${req.path} does not exist`)
    return protocol.onUnknownPath?.(env, req.path) ?? protocol.renderError(env, error)
  })
  return app
}

const methodsOf = <R extends Route>(protocol: Protocol<R>, route: R): string[] =>
  route.method === 'GET' && !protocol.changesByGet?.(route) ? ['GET', 'HEAD'] : [route.method]

function wrongMethod<R extends Route>(protocol: Protocol<R>, methods: readonly string[], exchange: Exchange) {
  const answer = protocol.onWrongMethod?.(exchange, methods)
  if (answer) return answer
  const error = new ImgapiError('MethodNotAllowedError', `${exchange.incoming.method} is not allowed`, {
    headers: { Allow: methods.join(', ') },
  })
  return protocol.renderError(exchange, error)
}

/** The path as it was sent: a `..` in it is a name that does not exist, not a way to somewhere else. */
const exactPath = (request: Request, options?: { env?: Exchange }): string =>
  targetPath(options?.env?.incoming ?? request)

/** Old clients double slashes and append them; neither makes another resource. */
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
      const error = new ImgapiError('BadRequestError', 'URI malformed')
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

/** The last route of a group is the one that no parameter selects, if the protocol has one. */
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

/** KeyedMutex an error into an answer. The client does not see what is not its own doing; the log does. */
function failure<R extends Route>(protocol: Protocol<R>, exchange: Exchange, error: unknown): Response {
  const isKnown = error instanceof ImgapiError
  if (!isKnown || error.status >= 500 || exchange.outgoing.headersSent) exchange.error = error
  if (exchange.outgoing.headersSent) {
    exchange.outgoing.destroy()
    return RESPONSE_ALREADY_SENT
  }
  const message = `internal error; the server's log has the details under request id ${exchange.id}`
  return protocol.renderError(exchange, isKnown ? error : new ImgapiError('InternalError', message))
}
