import { STATUS_CODES } from 'node:http'
import { readBody } from '../../http/body.ts'
import { type Exchange, targetPath } from '../../http/exchange.ts'
import { bytesResponse, jsonResponse } from '../../http/respond.ts'
import type { Handler } from '../../http/server.ts'
import { ImgapiError } from '../../images/errors.ts'
import { Refusal } from './errors.ts'
import { parseAcl, parseImport, parseLimit } from './parameters.ts'
import { renderJson, Seconds, toWire } from './record.ts'
import type { Requests } from './requests.ts'
import { BadCredential, type Session } from './session.ts'
import type { Workshop } from './workshop.ts'

/** The HTTP side: the paths of the Shifter Image Gateway, and answers in the form that its client can read. */

/** Milliseconds for a body, which is a line of text. */
const BODY_TIMEOUT = 30_000

interface Call {
  session: Session
  system: string
  /** What the path names after the system; empty strings where it names nothing. */
  type: string
  tag: string
  query: URLSearchParams
  body(): Promise<unknown>
}

interface Route {
  methods: readonly string[]
  /** Whether the path goes on with type and tag. */
  hasImage: boolean
  run(requests: Requests, call: Call): Promise<unknown>
}

const READ = ['GET', 'HEAD']

const ROUTES: Readonly<Record<string, Route>> = {
  list: {
    methods: READ,
    hasImage: false,
    run: async (requests, { session, system }) => ({
      list: (await requests.list(session, system)).map(record => toWire(record, session)),
    }),
  },
  lookup: {
    methods: READ,
    hasImage: true,
    run: async (requests, { session, ...image }) => {
      const record = await requests.lookup(session, image)
      if (!record) throw new Refusal(404, 'image not found')
      return toWire(record, session)
    },
  },
  pull: {
    methods: ['POST'],
    hasImage: true,
    run: async (requests, { session, body, ...image }) =>
      toWire(await requests.pull(session, image, parseAcl(await body())), session),
  },
  doimport: {
    methods: ['POST'],
    hasImage: true,
    run: async (requests, { session, body, ...image }) => {
      const value = await body()
      return toWire(await requests.import(session, image, parseAcl(value), parseImport(value)), session)
    },
  },
  // Its client changes with GET too.
  expire: {
    methods: ['GET'],
    hasImage: true,
    run: async (requests, { session, ...image }) => ({ status: await requests.expire(session, image) }),
  },
  autoexpire: {
    methods: ['GET'],
    hasImage: false,
    run: async (requests, { session, system }) => ({ status: await requests.autoexpire(session, system) }),
  },
  queue: {
    methods: READ,
    hasImage: false,
    run: async (requests, { session, system }) => ({
      list: (await requests.queue(session, system)).map(({ status, pulltag }) => ({
        status,
        image: pulltag,
      })),
    }),
  },
  metrics: {
    methods: READ,
    hasImage: false,
    run: async (requests, { session, system, query }) =>
      requests
        .metrics(session, system, parseLimit(query.get('limit')))
        .map(({ uid, time, ...row }) => ({ ...row, uid: uid ?? 'MISSING', time: new Seconds(time) })),
  },
}

/** Answers one request. */
export function createShifterApp(shop: Workshop, requests: Requests, serverName: string): Handler {
  return async (_, exchange) => {
    try {
      const answer = await answerTo(exchange, shop, requests)
      return typeof answer === 'string'
        ? bytesResponse(exchange, serverName, answer, 'text/plain')
        : jsonResponse(exchange, serverName, renderJson(answer))
    } catch (error) {
      const { status, message, reason, headers } = refusalOf(error, exchange)
      const { incoming } = exchange
      const url = `http://${incoming.headers.host ?? ''}${incoming.url ?? ''}`
      const body = { status, error: message, message: `${STATUS_CODES[status]}: ${url}`, reason }
      return jsonResponse(exchange, serverName, renderJson(body), { status, headers })
    }
  }
}

async function answerTo(exchange: Exchange, shop: Workshop, requests: Requests): Promise<unknown> {
  const { incoming } = exchange
  const path = targetPath(incoming)
  const query = (incoming.url ?? '').split('?', 2)[1] ?? ''
  const [api, verb = '', system = '', type = '', ...tag] = segments(path)
  if (api === undefined) return '{lookup,pull,expire,list}'
  const route = api === 'api' && Object.hasOwn(ROUTES, verb) ? ROUTES[verb]! : undefined
  const isWhole =
    route && system !== '' && (tag.length > 0 ? route.hasImage : route.hasImage === (type !== ''))
  if (!route || !isWhole || (route.hasImage && tag.length === 0)) {
    throw new Refusal(404, `Requested URL ${path} not found`)
  }
  exchange.route = `Shifter.${verb}`
  if (!route.methods.includes(incoming.method ?? '')) throw new WrongMethod(route.methods)
  const session = await sessionOf(exchange, system, shop)
  exchange.user = session.user
  return route.run(requests, {
    session,
    system,
    type,
    tag: tag.join('/'),
    query: new URLSearchParams(query),
    body: () => readBody(exchange, BODY_TIMEOUT),
  })
}

/** An encoded slash belongs to a name. One too many, and one at the end, are nothing. */
function segments(path: string): string[] {
  try {
    return path.split('/').filter(Boolean).map(decodeURIComponent)
  } catch {
    throw new Refusal(404, `Requested URL ${path} not found`)
  }
}

/** Throws Refusal: nothing is told to those whom the system does not know. */
async function sessionOf({ incoming }: Exchange, system: string, shop: Workshop): Promise<Session> {
  const { authentication } = incoming.headers
  const refuse = (reason: string) => new Refusal(404, 'Bad session or system', reason)
  if (!shop.platforms.has(system)) throw refuse('there is no such system')
  if (typeof authentication !== 'string') throw refuse('the header "authentication" is missing')
  try {
    return await shop.authenticate(authentication, system)
  } catch (error) {
    if (!(error instanceof BadCredential)) throw error
    const { remoteAddress: address } = incoming.socket
    shop.log.warn({ address, system }, `refused from ${address}: ${error.message}`)
    throw refuse(error.message)
  }
}

class WrongMethod extends Refusal {
  readonly headers: Record<string, string>

  constructor(methods: readonly string[]) {
    super(405, 'method not allowed')
    this.headers = { Allow: methods.join(', ') }
  }
}

/** What goes wrong here is told to the log alone. */
function refusalOf(error: unknown, exchange: Exchange) {
  if (error instanceof Refusal) {
    const headers = error instanceof WrongMethod ? error.headers : {}
    return { status: error.status, message: error.message, reason: error.reason, headers }
  }
  if (error instanceof ImgapiError && error.status < 500) {
    return { status: error.status, message: error.message, reason: undefined, headers: {} }
  }
  exchange.error = error
  const message = `internal error; the log of the gateway has it under request id ${exchange.id}`
  return { status: 500, message, reason: undefined, headers: {} }
}
