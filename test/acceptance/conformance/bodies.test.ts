import { createHash } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { manifest } from '../../support/api.ts'
import { type Case, conformance, type Expectation, failure } from './runner.ts'

/** Section 2.5: how bodies are read. */

const JSON_BODY = JSON.stringify(manifest({ name: 'sent' }))
const FORM = 'name=sent&version=1.0.0&type=other&os=other&public=true'
const md5 = (body: string | Buffer) => createHash('md5').update(body).digest('base64')
const created: Expectation = { body: { name: 'sent' } }
const missingBody: Expectation = {
  status: 422,
  code: 'ValidationFailed',
  message: 'missing request body',
  errors: [{ field: 'body', code: 'MissingParameter' }],
}
const post = (name: string, body: unknown, headers: Record<string, string>, expected: Expectation): Case => ({
  name,
  request: 'POST /images',
  body,
  headers,
  expect: expected,
})

const TYPES = [
  'application/json',
  'application/json; charset=utf-8',
  'text/plain',
  'application/octet-stream',
]

conformance('2.5 request bodies', [
  ...TYPES.map(type => post(`JSON of type ${type} is read`, JSON_BODY, { 'content-type': type }, created)),
  post(
    'design: JSON that claims to be a form, as `curl --data-binary` sends it, is read as JSON',
    JSON_BODY,
    { 'content-type': 'application/x-www-form-urlencoded' },
    created,
  ),
  post(
    'a real form is read as one',
    FORM,
    { 'content-type': 'application/x-www-form-urlencoded' },
    { body: { name: 'sent', type: 'other', public: true } },
  ),
  post('bad JSON is refused', '{"name":', {}, failure(400, 'InvalidContent', /^Invalid JSON: /)),
  {
    name: 'bad JSON is refused before the image is looked up',
    request: 'POST /images/{unknown}?action=update',
    body: '{',
    expect: failure(400, 'InvalidContent', /^Invalid JSON: /),
  },
  post('the right Content-MD5 is fine', JSON_BODY, { 'content-md5': md5(JSON_BODY) }, created),
  post(
    'a wrong Content-MD5 is refused',
    JSON_BODY,
    { 'content-md5': 'bm9wZQ==' },
    failure(400, 'BadDigest', `Content-MD5 'bm9wZQ==' didn't match '${md5(JSON_BODY)}'`),
  ),
  post('a gzip body is inflated', gzipSync(JSON_BODY), { 'content-encoding': 'gzip' }, created),
  post('no body is a missing body', undefined, {}, missingBody),
  ...['null', '[]', '"text"', '5', 'true', ' '].map(body =>
    post(`a body of ${body} is a missing body`, body, { 'content-type': 'application/json' }, missingBody),
  ),
  {
    name: 'an action that needs no body takes an empty one',
    given: 'with file',
    request: 'POST /images/{image}?action=activate',
    expect: { body: { state: 'active' } },
  },
])
