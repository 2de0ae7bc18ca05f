import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { type Exchange, targetPath } from '../../http/exchange.ts'
import type { Handler } from '../../http/server.ts'
import { ImgapiError } from '../../images/errors.ts'
import type { House } from '../gateway.ts'
import type { MistifyConfig } from './config.ts'
import { type Operation, operations, type Path } from './operations.ts'
import { MistifyRequest, notFound } from './request.ts'

/** The HTTP side: paths, methods, and answers to whatever goes wrong. */
export function createMistifyApp(settings: MistifyConfig, house: House): Handler {
  const offered = operations()
  return async (_, exchange) => {
    const path = targetPath(exchange.incoming).slice(settings.prefix?.length ?? 0)
    const { place, id = '', hasSlash } = parsePath(path) ?? {}
    const request = new MistifyRequest(house, settings, exchange, id)
    try {
      if (!place) throw notFound('page not found')
      if (hasSlash) return request.redirect(withoutSlash(exchange))
      const operation = choose(offered, place, exchange)
      exchange.route = `Mistify.${operation.name}`
      await request.identify(operation.method !== 'GET')
      return await operation.handle(request)
    } catch (error) {
      return failure(request, error)
    }
  }
}

const PATH = /^\/images(?:\/([^/]+)(\/download)?)?(\/?)$/

function parsePath(path: string): { place: Path; id: string; hasSlash: boolean } | undefined {
  const found = PATH.exec(path)
  if (!found) return undefined
  const [, id, download, slash] = found
  const place = download ? '/images/{id}/download' : id ? '/images/{id}' : '/images'
  return { place, id: id ?? '', hasSlash: slash === '/' }
}

/** Without the host: a proxy in front may be known by another. */
function withoutSlash({ incoming }: Exchange): string {
  const [, query] = /(\?.*)$/.exec(incoming.url ?? '') ?? []
  return targetPath(incoming).slice(0, -1) + (query ?? '')
}

/** Throws MethodNotAllowedError. */
function choose(offered: readonly Operation[], place: Path, { incoming }: Exchange): Operation {
  const here = offered.filter(({ path }) => path === place)
  const method = incoming.method === 'HEAD' ? 'GET' : incoming.method
  const found = here.find(operation => operation.method === method)
  if (found) return found
  const methods: string[] = here.map(operation => operation.method)
  if (methods.includes('GET')) methods.push('HEAD')
  const headers = { Allow: methods.join(', ') }
  throw new ImgapiError('MethodNotAllowedError', `${incoming.method} is not allowed`, { headers })
}

/** What is not the client's doing is told to the log alone. */
function failure(request: MistifyRequest, error: unknown): Response {
  const { exchange } = request
  if (exchange.outgoing.headersSent) {
    exchange.error = error
    exchange.outgoing.destroy()
    return RESPONSE_ALREADY_SENT
  }
  const isKnown = error instanceof ImgapiError
  if (!isKnown || error.status >= 500) exchange.error = error
  const message = `internal error; the server's log has the details under request id ${exchange.id}`
  return request.error(isKnown ? error : new ImgapiError('InternalError', message))
}
