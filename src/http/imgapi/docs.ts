import Negotiator from 'negotiator'
import { z } from 'zod'
import { notAcceptable } from '../../images/errors.ts'
import type { ApiRequest } from '../api-request.ts'
import { openApiDocument, requestLine } from '../openapi.ts'
import { type AnyOperation, operation } from '../operation.ts'
import { escapeHtml, page } from '../page.ts'
import { bytesResponse } from '../respond.ts'
import type { Service } from '../service.ts'

/** The list of operations, as a page for browsers and as an OpenAPI document for programs. */

type Table = () => readonly AnyOperation[]

const offered = (table: Table, service: Service) =>
  table().filter(operation => operation.isOffered?.(service) ?? true)

/** Throws NotAcceptable if the client does not accept HTML. */
function requireHtml({ exchange: { incoming } }: ApiRequest) {
  if (new Negotiator(incoming).mediaType(['text/html'])) return
  throw notAcceptable(`${incoming.url} is a page: ask for text/html`)
}

/** Creates the operation that shows the table of operations at `path`. */
export const docs = (path: string, table: Table): AnyOperation =>
  operation({
    name: 'Docs',
    method: 'GET',
    path,
    access: 'public',
    summary: 'Shows this list as a page.',
    answers: { 200: { description: 'the page', media: 'text/html' } },
    async handle({ request, service }) {
      requireHtml(request)
      const rows = offered(table, service).map(
        one =>
          `<tr><td>${one.name}<td><code>${escapeHtml(requestLine(one))}</code><td>${one.access}<td>${escapeHtml(one.summary)}`,
      )
      const body = `<h1>Image API</h1>
<p>Add this server to a SmartOS host: <code>imgadm sources -a ${escapeHtml(request.baseUrl())}</code></p>
<p>For programs: <a href="/openapi.json">openapi.json</a></p>
<table><tr><th>Operation<th>Request<th>Access<th>What it does${rows.join('\n')}</table>`
      return bytesResponse(request.exchange, page('imgapi', body), 'text/html; charset=utf-8', {
        'Cache-Control': 'public, max-age=3600',
        Vary: 'Accept',
      })
    },
  })

/** Creates the operation that returns the table of operations as an OpenAPI document. */
export const openApi = (table: Table): AnyOperation =>
  operation({
    name: 'OpenApi',
    method: 'GET',
    path: '/openapi.json',
    access: 'public',
    summary: 'Describes every operation in the form of OpenAPI 3.1.',
    answers: { 200: { description: 'the document', schema: z.looseObject({ openapi: z.string() }) } },
    handle: async ({ request, service }) => request.json(openApiDocument(offered(table, service))),
  })

/** A stack of images, sixteen pixels wide. */
const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect x="1" y="9" width="14" height="5" rx="1" fill="#345"/><rect x="2" y="5" width="12" height="3" rx="1" fill="#579"/><rect x="3" y="2" width="10" height="2" rx="1" fill="#8bd"/></svg>`

export const favicon = operation({
  name: 'Favicon',
  method: 'GET',
  path: '/favicon.ico',
  access: 'public',
  summary: 'Returns the icon of the page.',
  answers: { 200: { description: 'the icon', media: 'image/svg+xml' } },
  handle: async ({ request }) =>
    bytesResponse(request.exchange, Buffer.from(ICON), 'image/svg+xml', {
      'Cache-Control': 'public, max-age=86400',
    }),
})
