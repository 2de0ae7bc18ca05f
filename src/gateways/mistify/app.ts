import type { Exchange } from '../../http/exchange.ts'
import { bytesResponse } from '../../http/respond.ts'
import { createRouter } from '../../http/router.ts'
import type { Handler } from '../../http/server.ts'
import { notFound } from '../../images/errors.ts'
import type { GatewayContext } from '../gateway.ts'
import type { MistifyConfig } from './config.ts'
import { operations } from './operations.ts'
import { MistifyRequest, renderError } from './request.ts'

/** Makes the HTTP side of the gateway. */
export function createMistifyApp(settings: MistifyConfig, context: GatewayContext): Handler {
  const { prefix = '' } = settings
  return createRouter({
    routes: operations(),
    logPrefix: 'Mistify.',
    prefix,
    async answer(operation, exchange, parameters) {
      const request = new MistifyRequest(context, settings, exchange, parameters)
      await request.identify(operation.access)
      return operation.handle(request)
    },
    renderError,
    hasExactPaths: true,
    onUnknownPath: (exchange, path) =>
      WITH_SLASH.test(path.slice(prefix.length))
        ? redirectTo(path.slice(0, -1), exchange)
        : renderError(exchange, notFound('page not found')),
  })
}

const WITH_SLASH = /^\/images(\/[^/]+(\/download)?)?\/$/

/** Redirects a path with a trailing slash, as the original does. Without the host, which may differ at a proxy. */
function redirectTo(path: string, exchange: Exchange): Response {
  const [, query] = /(\?.*)$/.exec(exchange.incoming.url ?? '') ?? []
  return bytesResponse(exchange, '', 'text/plain', { Location: path + (query ?? '') }, 301)
}
