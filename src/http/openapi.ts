import { z } from 'zod'
import { VERSION } from '../version.ts'
import { ErrorSchema } from './imgapi/schemas.ts'
import type { AnswerKind, AnyOperation } from './operation.ts'
import { flag, type Parameters, text } from './parameters.ts'
import { groupRoutes, type Route } from './router.ts'

/** Describes the table of operations as an OpenAPI 3.1 document. */

type Json = Record<string, unknown>

/** Returns the request line of an operation: `POST /images/:uuid?action=activate`. */
export function requestLine({ method, path, when = {} }: Route): string {
  const query = Object.entries(when).map(([name, value]) => `${name}=${value === true ? '...' : value}`)
  return `${method} ${path}${query.length > 0 ? `?${query.join('&')}` : ''}`
}

/** Parameters of all operations on images. */
const COMMON = {
  account: text('the UUID of the account that the request is made for'),
  channel: text('the channel; `*` in reads is all of them'),
}
const OF_IMAGES = { inclAdminFields: flag('with fields for operators') }

/** Returns the document. Operations that differ only in query parameters share one entry. */
export function openApiDocument(operations: readonly AnyOperation[]): Json {
  const schemas: Json = {}
  const paths: Record<string, Record<string, Json>> = {}
  for (const group of groupRoutes(operations)) {
    const { method, path } = group[0]!
    const place = path.replaceAll(/:(\w+)/g, '{$1}')
    paths[place] ??= {}
    paths[place][method.toLowerCase()] = describe(group, schemas)
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Image API', version: VERSION },
    security: [{}, { basic: [] }],
    paths,
    components: { schemas, securitySchemes: { basic: { type: 'http', scheme: 'basic' } } },
  }
}

function describe(group: readonly AnyOperation[], schemas: Json): Json {
  const plain = group.find(({ when }) => !when) ?? group[0]!
  const isOpen = group.every(({ access }) => access === 'read' || access === 'public')
  return {
    operationId: plain.name,
    summary: plain.summary,
    ...(group.length > 1 && {
      description: group.map(one => `${requestLine(one)}: ${one.name}. ${one.summary}`).join('\n\n'),
    }),
    'x-operations': group.map(({ name, access, when = {} }) => ({ name, access, when })),
    ...(!isOpen && { security: [{ basic: [] }] }),
    parameters: parametersOf(group),
    ...bodyOf(group, schemas),
    responses: responsesOf(group, schemas),
  }
}

function parametersOf(group: readonly AnyOperation[]): Json[] {
  const inPath = [...group[0]!.path.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }))
  const actions = group.flatMap(({ when }) => (typeof when?.action === 'string' ? [when.action] : []))
  const declared: Parameters = Object.assign(
    {},
    group.some(({ image }) => image) && COMMON,
    group.some(({ answers }) => answers[200] && 'schema' in answers[200]) &&
      group.some(({ image }) => image) &&
      OF_IMAGES,
    ...group.map(({ parameters = {} }) => parameters),
  )
  const inQuery = Object.entries(declared).map(([name, { description, schema, isRepeated }]) => {
    const own =
      name === 'action' && actions.length > 0 ? { type: 'string', enum: actions } : toJson(schema, {})
    return {
      name,
      in: 'query',
      description,
      schema: isRepeated ? { type: 'array', items: own } : own,
    }
  })
  return [...inPath, ...inQuery]
}

function bodyOf(group: readonly AnyOperation[], schemas: Json): Json {
  const kinds = group.flatMap(({ body }) => (body === undefined ? [] : [body]))
  if (kinds.length === 0) return {}
  const values = kinds.filter(kind => kind !== 'bytes').map(schema => toJson(schema, schemas))
  const distinct = [...new Map(values.map(value => [JSON.stringify(value), value])).values()]
  const content = {
    ...(kinds.includes('bytes') && { 'application/octet-stream': {} }),
    ...(distinct.length > 0 && {
      'application/json': { schema: distinct.length === 1 ? distinct[0] : { anyOf: distinct } },
    }),
  }
  return { requestBody: { content } }
}

function responsesOf(group: readonly AnyOperation[], schemas: Json): Json {
  const responses: Record<string, Json> = {}
  for (const { answers } of group) {
    for (const [status, answer] of Object.entries(answers)) {
      const known = responses[status]
      const next = responseOf(answer as AnswerKind, schemas)
      responses[status] = known ? merge(known, next) : next
    }
  }
  const error = toJson(ErrorSchema, schemas)
  return {
    ...responses,
    default: { description: 'an error', content: { 'application/json': { schema: error } } },
  }
}

function responseOf(answer: AnswerKind, schemas: Json): Json {
  const { description } = answer
  if ('schema' in answer) {
    return { description, content: { 'application/json': { schema: toJson(answer.schema, schemas) } } }
  }
  return 'media' in answer ? { description, content: { [answer.media]: {} } } : { description }
}

/** Merges the answers that two operations of one method and path give with the same status. */
function merge(a: Json, b: Json): Json {
  const schemasOf = (response: Json) => {
    const schema = ((response.content as Json)?.['application/json'] as Json)?.schema as Json | undefined
    return schema ? ((schema.anyOf as Json[]) ?? [schema]) : []
  }
  const all = [...schemasOf(a), ...schemasOf(b)]
  const distinct = [...new Map(all.map(schema => [JSON.stringify(schema), schema])).values()]
  if (distinct.length < 2) return a
  return { ...a, content: { 'application/json': { schema: { anyOf: distinct } } } }
}

/** Converts a schema to JSON Schema. Schemas with an id are added to `schemas` and referenced. */
function toJson(schema: z.ZodType, schemas: Json): Json {
  const whole = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' })
  const text = JSON.stringify(whole).replaceAll('#/$defs/', '#/components/schemas/')
  const { $schema: _, $defs = {}, id, ...json } = JSON.parse(text) as Json & { $defs?: Record<string, Json> }
  for (const [name, { id: __, ...definition }] of Object.entries($defs)) schemas[name] = definition
  if (typeof id !== 'string') return json
  schemas[id] = json
  return { $ref: `#/components/schemas/${id}` }
}
