import { type Case, conformance, failure, invalidParameter, notFound, UNKNOWN } from './runner.ts'

/** Section 2: what holds for every endpoint. */

const badRequest = (message: string | RegExp) => failure(400, 'BadRequestError', message)
const wrongMethod = (method: string, allow: string) => ({
  ...failure(405, 'MethodNotAllowedError', `${method} is not allowed`),
  headers: { allow },
})
const notSupported = (version: string, route = 'GET /images') =>
  failure(400, 'InvalidVersion', `${version} is not supported by ${route}`)
const list = (version: string): Case => ({
  name: `Accept-Version ${version} is served`,
  request: 'GET /images',
  headers: { 'accept-version': version },
  expect: { status: 200 },
})

const vary = (request: string, expected: string, more: Partial<Case> = {}): Case => ({
  name: `design: what ${request} ${Object.values(more.headers ?? {})} depends on is in Vary`,
  request,
  ...more,
  expect: { status: 200, ...more.expect, headers: { vary: expected } },
})
const BOTH = 'Accept-Version, Authorization'
const LIST = `Accept-Encoding, ${BOTH}`
const given: Partial<Case> = { given: 'active' }

/** Credentials show more, API 2 shows channels, and errors follow from either. */
const VARY: Case[] = [
  vary('GET /images', LIST),
  vary('GET /images', LIST, { headers: { 'accept-encoding': 'gzip' } }),
  vary('GET /images', LIST, { headers: { 'if-none-match': '*' }, expect: { status: 304 } }),
  vary('GET /images/{image}', BOTH, given),
  vary('GET /images/{image}', BOTH, {
    ...given,
    ...{ headers: { 'if-none-match': '*' }, expect: { status: 304 } },
  }),
  vary('GET /images/{image}/file', BOTH, given),
  vary('GET /images/{image}/file', BOTH, {
    ...given,
    ...{ headers: { range: 'bytes=0-9' }, expect: { status: 206 } },
  }),
  vary('GET /images/{image}/file', BOTH, {
    ...given,
    ...{ headers: { 'if-none-match': '*' }, expect: { status: 304 } },
  }),
  vary('GET /images/{unknown}', BOTH, { expect: { status: 404 } }),
  vary('GET /images', BOTH, { headers: { 'accept-version': '~99' }, expect: { status: 400 } }),
  vary('GET /images', BOTH, { headers: { authorization: 'Basic eDp5' }, expect: { status: 401 } }),
  vary('GET /datasets', BOTH),
  vary('GET /docs', 'Accept'),
  vary('GET /docs', 'Accept', { headers: { accept: 'image/png' }, expect: { status: 406 } }),
  vary('GET /docs', 'Accept', { headers: { accept: 'text/html;q=0, */*' }, expect: { status: 406 } }),
]

const ROUTING: Case[] = [
  { name: 'repeated slashes are one', request: 'GET //images', expect: { body: [] } },
  {
    name: 'repeated slashes are one anywhere',
    request: 'GET /images///{unknown}',
    expect: notFound(/not found$/),
  },
  { name: 'design: a trailing slash is the same route', request: 'GET /images/', expect: { body: [] } },
  {
    name: 'design: a trailing slash is the same route for an image',
    given: 'active',
    request: 'GET /images/{image}/',
    expect: { body: { uuid: '{image}' } },
  },
  { name: 'paths are case-sensitive', request: 'GET /Images', expect: notFound('/Images does not exist') },
  {
    name: 'an unknown path is named without its query',
    request: 'GET /nope/way?a=b',
    expect: notFound('/nope/way does not exist'),
  },
  { name: 'the root is a page', request: 'GET /', expect: { headers: { 'content-type': /^text\/html/ } } },
  { name: 'POST of the root is not allowed', request: 'POST /', expect: wrongMethod('POST', 'GET, HEAD') },
  {
    name: 'an unknown path under an image is no route',
    request: 'GET /images/{unknown}/nope',
    expect: notFound('/images/{unknown}/nope does not exist'),
  },
  {
    name: 'malformed percent-encoding in the path is a bad request',
    request: 'GET /images/%zz',
    expect: badRequest('URI malformed'),
  },
  {
    name: 'a UUID in upper case does not exist',
    request: `GET /images/${UNKNOWN.toUpperCase()}`,
    expect: notFound(`/images/${UNKNOWN.toUpperCase()} does not exist`),
  },
  {
    name: 'a bad UUID is named as sent, with the query',
    request: 'GET /images/nope?a=b%20c',
    expect: notFound('/images/nope?a=b%20c does not exist'),
  },
  ...['PUT', 'DELETE', 'PATCH'].map(method => ({
    name: `${method} of the list is not allowed`,
    request: `${method} /images`,
    expect: wrongMethod(method, 'GET, POST, HEAD'),
  })),
  { name: 'POST of ping is not allowed', request: 'POST /ping', expect: wrongMethod('POST', 'GET, HEAD') },
  {
    name: 'PUT of an image is not allowed',
    request: 'PUT /images/{unknown}',
    expect: wrongMethod('PUT', 'GET, POST, DELETE, HEAD'),
  },
  {
    name: 'POST of a file is not allowed',
    request: 'POST /images/{unknown}/file',
    expect: wrongMethod('POST', 'GET, PUT, HEAD'),
  },
  {
    name: 'POST of an icon, which the documentation has, is not allowed',
    request: 'POST /images/{unknown}/icon',
    expect: wrongMethod('POST', 'GET, PUT, DELETE, HEAD'),
  },
  {
    name: 'OPTIONS is not allowed',
    request: 'OPTIONS /images',
    expect: wrongMethod('OPTIONS', 'GET, POST, HEAD'),
  },
  {
    name: 'OPTIONS is answered when a browser asks beforehand',
    request: 'OPTIONS /images',
    headers: { origin: 'http://example.com', 'access-control-request-method': 'POST' },
    expect: {
      text: '',
      headers: {
        'access-control-allow-origin': '*',
        'access-control-allow-methods': 'GET, POST, HEAD',
        'access-control-allow-headers':
          'accept, accept-version, content-type, request-id, origin, x-api-version, x-request-id',
        'access-control-max-age': '3600',
      },
    },
  },
  {
    name: 'a preflight for a method that is not there is not allowed',
    request: 'OPTIONS /images',
    headers: { origin: 'http://example.com', 'access-control-request-method': 'DELETE' },
    expect: wrongMethod('OPTIONS', 'GET, POST, HEAD'),
  },
  ...['/ping', '/images', '/images/{image}', '/images/{image}/file'].map(path => ({
    name: `design: HEAD works for ${path}`,
    given: 'active' as const,
    request: `HEAD ${path}`,
    expect: { text: '', headers: { 'content-length': /^[1-9]/, 'content-type': /^application/ } },
  })),
]

const HEADERS: Case[] = [
  {
    name: 'every answer has the common headers',
    request: 'GET /ping',
    expect: {
      headers: {
        date: /GMT$/,
        server: /^imgapi\//,
        'x-request-id': /^[0-9a-f-]{36}$/,
        'x-response-time': /^\d+$/,
        'x-server-name': /./,
        'content-type': 'application/json',
        'content-length': /^\d+$/,
        'content-md5': undefined,
        'cache-control': undefined,
        'transfer-encoding': undefined,
        'access-control-allow-origin': undefined,
      },
    },
  },
  {
    name: 'the request id is the client’s `x-request-id`',
    request: 'GET /ping',
    headers: { 'x-request-id': 'any string' },
    expect: { headers: { 'x-request-id': 'any string' } },
  },
  {
    name: 'the request id is rather the client’s `request-id`',
    request: 'GET /ping',
    headers: { 'x-request-id': 'second', 'request-id': 'first' },
    expect: { headers: { 'x-request-id': 'first' } },
  },
  {
    name: 'JSON is indented by two, without a newline at its end',
    request: 'GET /ping',
    expect: { text: /^\{\n {2}"ping": "pong",\n.*\}$/s },
  },
  { name: 'an empty list is two characters', request: 'GET /images', expect: { text: '[]' } },
  {
    name: 'design: the ETag of an image is quoted',
    given: 'active',
    request: 'GET /images/{image}',
    expect: { headers: { etag: /^"[0-9a-f]{40}"$/ } },
  },
  {
    name: 'design: a list has an ETag',
    request: 'GET /images',
    headers: { 'accept-encoding': 'identity' },
    expect: { headers: { etag: /^"[0-9a-f]{40}"$/, 'content-encoding': undefined } },
  },
  {
    name: 'design: a list is compressed for those who ask',
    given: 'active',
    request: 'GET /images',
    headers: { 'accept-encoding': 'gzip' },
    expect: { headers: { etag: /^"[0-9a-f]{40}-gzip"$/, 'content-encoding': 'gzip' } },
  },
  ...(
    [
      ['GZIP', true],
      ['*', true],
      ['br, gzip;q=0.5', true],
      ['gzip;q=0', false],
      ['gzip;q=0.5, identity', false],
      ['x-gzipped', false],
      ['', false],
    ] as const
  ).map(([accepted, isGzip]) => ({
    name: `design: a list for Accept-Encoding "${accepted}" is ${isGzip ? '' : 'not '}compressed`,
    given: 'active' as const,
    request: 'GET /images',
    headers: { 'accept-encoding': accepted },
    expect: { headers: { 'content-encoding': isGzip ? 'gzip' : undefined } },
  })),
  {
    name: '204 has neither body nor type',
    given: 'active',
    request: 'DELETE /images/{image}',
    expect: { status: 204, text: '', headers: { 'content-type': undefined, 'content-md5': undefined } },
  },
  {
    name: 'nothing but lists is compressed',
    request: 'GET /ping',
    headers: { 'accept-encoding': 'gzip' },
    expect: { headers: { 'content-encoding': undefined } },
  },
  ...['*/*', 'application/json', 'text/html, */*;q=0.8', 'text/html', 'text/plain', 'image/png'].map(
    accept => ({
      name: `design: Accept: ${accept} gets JSON`,
      request: 'GET /images/{unknown}',
      headers: { accept },
      expect: notFound('image {unknown} not found'),
    }),
  ),
  ...['*', '~1', '1.0.0', '1', '2', '~2', '2.0.0', '>=1', '~1||~2'].map(list),
  ...['~99', '3', 'bogus'].map(version => ({
    name: `Accept-Version ${version} is refused`,
    request: 'GET /images',
    headers: { 'accept-version': version },
    expect: notSupported(version),
  })),
  {
    name: 'Accept-Version is checked on ping too',
    request: 'GET /ping',
    headers: { 'accept-version': '~99' },
    expect: notSupported('~99', 'GET /ping'),
  },
  { name: 'Api-Version is ignored', request: 'GET /images', headers: { 'api-version': '~99' }, expect: {} },
]

const QUERIES: Case[] = [
  { name: 'unknown parameters are ignored', request: 'GET /images?nope=1', expect: { body: [] } },
  {
    name: 'an empty value is an absent one',
    request: 'GET /images?limit=&state=&marker=',
    expect: { body: [] },
  },
  ...['yes', '1', 'TRUE', 'false%20'].map(value => ({
    name: `\`${value}\` is not a boolean`,
    request: `GET /images?public=${value}`,
    expect: invalidParameter(
      'public',
      `invalid value for "public" param: "${decodeURIComponent(value)}" is not a boolean`,
    ),
  })),
  {
    name: 'malformed percent-encoding in the query is a bad request',
    request: 'GET /images?name=%zz',
    expect: badRequest('URI malformed'),
  },
  {
    name: 'design: a parameter that is given twice is refused',
    request: 'GET /images?name=a&name=b',
    expect: invalidParameter('name', /2 times/),
  },
  {
    name: 'design: a doubled action is refused',
    given: 'active',
    request: 'POST /images/{image}?action=enable&action=disable',
    expect: invalidParameter('action', /2 times/),
    leaves: { state: 'active' },
  },
  {
    name: 'design: `;` separates parameters as `&` does',
    request: 'GET /images?name=a;limit=abc',
    expect: invalidParameter('limit', 'invalid limit: "abc"'),
  },
  { name: 'design: %3B is data', request: 'GET /images?name=a%3Blimit=abc', expect: { body: [] } },
]

conformance('2.1 routing', ROUTING)
conformance('2.2-2.4 headers and versions', HEADERS)
conformance('2.6 query strings', QUERIES)
conformance('RFC 9110, 12.5.5: Vary', VARY)

conformance(
  '2.2 the server’s name',
  [{ name: 'is the configured one', request: 'GET /ping', expect: { headers: { server: 'images/1' } } }],
  { config: { serverName: 'images/1' } },
)
