import { ImgapiError } from '../../images/errors.ts'
import { escapeHtml, page } from '../../web/page.ts'
import type { ApiRequest } from '../api-request.ts'
import type { Operation } from '../operation.ts'
import { bytesResponse } from '../respond.ts'

/** What this server can do, for people who found it with a browser. */

/** Throws NotAcceptable: a page is of no use to a client that wants something else. */
function requireHtml(request: ApiRequest) {
  const accept = request.header('accept') ?? '*/*'
  if (/text\/html|text\/\*|\*\/\*/.test(accept)) return
  const message = `${request.exchange.incoming.url} is a page: ask for text/html`
  throw new ImgapiError('NotAcceptable', message, { headers: { Vary: 'Accept' } })
}

export const docs = (path: string, operations: () => readonly Operation[]): Operation => ({
  name: 'Docs',
  method: 'GET',
  path,
  async handle(request) {
    requireHtml(request)
    const rows = operations()
      .filter(operation => operation.isOffered?.(request.service) ?? true)
      .map(({ name, method, path }) => `<tr><td>${name}<td><code>${method} ${escapeHtml(path)}</code>`)
    const body = `<h1>Image API</h1>
<p>Add this server to a SmartOS host: <code>imgadm sources -a ${escapeHtml(request.baseUrl())}</code></p>
<table><tr><th>Operation<th>Request${rows.join('\n')}</table>`
    return bytesResponse(
      request.exchange,
      request.service.serverName,
      page('imgapi', body),
      'text/html; charset=utf-8',
      {
        'Cache-Control': 'public, max-age=3600',
        Vary: 'Accept',
      },
    )
  },
})

/** A stack of images, sixteen pixels wide. */
const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect x="1" y="9" width="14" height="5" rx="1" fill="#345"/><rect x="2" y="5" width="12" height="3" rx="1" fill="#579"/><rect x="3" y="2" width="10" height="2" rx="1" fill="#8bd"/></svg>`

export const favicon: Operation = {
  name: 'Favicon',
  method: 'GET',
  path: '/favicon.ico',
  async handle(request) {
    const { exchange, service } = request
    return bytesResponse(exchange, service.serverName, Buffer.from(ICON), 'image/svg+xml', {
      'Cache-Control': 'public, max-age=86400',
    })
  },
}
