import { Ajv2020 } from 'ajv/dist/2020.js'
import ajvFormats from 'ajv-formats'
import { expect } from 'vitest'
import type { Answer } from './api.ts'

/** The description that a server gives of itself, held against what it really answers. */

interface Described {
  operationId: string
  'x-operations': { name: string; when: Record<string, string | true> }[]
  responses: Record<string, { content?: Record<string, { schema?: unknown }> }>
}

export class OpenApi {
  readonly paths: Record<string, Record<string, Described>>
  readonly #ajv = new Ajv2020({ strict: false, allErrors: true })

  constructor(document: { paths: OpenApi['paths'] }) {
    this.paths = document.paths
    ajvFormats.default(this.#ajv)
    this.#ajv.addSchema(document, 'api')
  }

  /** Returns the name of the operation that a request asks for; undefined if there is none. */
  operationOf(method: string, target: string): string | undefined {
    const found = this.#find(method, target)
    if (!found) return undefined
    const query = new URLSearchParams(target.split('?').slice(1).join('?').replaceAll(';', '&'))
    const operations = found.described['x-operations'].toSorted(
      (a, b) => Object.keys(b.when).length - Object.keys(a.when).length,
    )
    const isMeant = (name: string, value: string | true) =>
      value === true ? Boolean(query.get(name)) : query.get(name) === value
    const meant = operations.find(({ when }) =>
      Object.entries(when).every(([name, value]) => isMeant(name, value)),
    )
    return (meant ?? operations.at(-1))?.name
  }

  /** Fails the test if an answer is not as described. */
  check(method: string, target: string, { status, headers, body }: Answer) {
    const found = this.#find(method, target)
    if (!found || headers.get('content-type') !== 'application/json' || body === undefined) return
    const key = found.described.responses[status] ? `${status}` : 'default'
    if (!found.described.responses[key]?.content?.['application/json']?.schema) return
    const parts = [
      'paths',
      found.path,
      found.method,
      'responses',
      key,
      'content',
      'application/json',
      'schema',
    ]
    const pointer = parts.map(part => part.replaceAll('~', '~0').replaceAll('/', '~1')).join('/')
    const validate = this.#ajv.getSchema(`api#/${pointer}`)!
    validate(body)
    expect(validate.errors ?? [], `${method} ${target} is answered as /openapi.json says`).toEqual([])
  }

  #find(method: string, target: string) {
    const path = target.split('?')[0]!.replace(/(.)\/$/, '$1')
    const verb = (method === 'HEAD' ? 'GET' : method).toLowerCase()
    const patterns = Object.keys(this.paths).toSorted((a, b) => a.split('{').length - b.split('{').length)
    const matching = patterns.find(
      pattern =>
        new RegExp(`^${pattern.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(path) && this.paths[pattern]![verb],
    )
    return matching && { path: matching, method: verb, described: this.paths[matching]![verb]! }
  }
}
