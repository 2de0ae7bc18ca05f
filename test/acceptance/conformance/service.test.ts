import { manifest } from '../../support/api.ts'
import {
  type Case,
  conformance,
  type Expectation,
  failure,
  invalidParameter,
  notFound,
  unauthorized,
  unknownImage,
} from './runner.ts'

/** Sections 8.1-8.4, 8.12, 8.17 and 8.19: what is about the server rather than its images. */

const wrongMethod = (method: string, allow: string): Expectation => ({
  ...failure(405, 'MethodNotAllowedError', `${method} is not allowed`),
  headers: { allow },
})
const anonymous = true

/** Name asked for, and the sample that comes. */
const SAMPLES: [asked: string, Expectation][] = [
  ['ValidationFailed', { ...failure(422, 'ValidationFailed', 'boom'), errors: [] }],
  ['InvalidParameter', { ...failure(422, 'InvalidParameter', 'boom'), errors: [] }],
  ['ImageFilesImmutable', failure(422, 'ImageFilesImmutable', 'boom')],
  ['ImageAlreadyActivated', failure(422, 'ImageAlreadyActivated', 'boom')],
  ['NoActivationNoFile', failure(422, 'NoActivationNoFile', 'boom')],
  ['OperatorOnly', failure(403, 'OperatorOnly', 'this endpoint may only be called by an operator')],
  ['ImageUuidAlreadyExists', failure(409, 'ImageUuidAlreadyExists', 'boom')],
  ['StorageIsDown', failure(503, 'StorageIsDown', 'storage is down at the moment')],
  ['StorageUnsupported', failure(503, 'StorageUnsupported', 'storage type is unsupported')],
  ['RemoteSource', failure(503, 'RemoteSourceError', '')],
  ['Internal', failure(500, 'InternalError', 'boom')],
  ['Upload', failure(500, 'InternalError', 'do not have a sample "UploadError" error')],
  ['Unauthorized', failure(500, 'InternalError', 'do not have a sample "UnauthorizedError" error')],
  ['bogus', invalidParameter('error', 'unknown error: bogusError', 'Missing')],
  ['constructor', invalidParameter('error', 'unknown error: constructorError', 'Missing')],
]

const PING: Case[] = [
  ...SAMPLES.flatMap(([asked, expect]): Case[] => [
    { name: `?error=${asked}`, request: `GET /ping?error=${asked}`, expect },
    { name: `?error=${asked}Error`, request: `GET /ping?error=${asked}Error`, anonymous, expect },
  ]),
  { name: 'an empty ?error', request: 'GET /ping?error=', expect: failure(500, 'InternalError', 'boom') },
  {
    name: 'wrong credentials come before the sample',
    request: 'GET /ping?error=Upload',
    headers: { authorization: 'Basic eDp5' },
    expect: unauthorized,
  },
]

const ADMIN: Case[] = [
  {
    name: 'GET /state',
    request: 'GET /state',
    expect: {
      body: { cache: {}, log: { level: 'info' }, storageTypes: ['local'] },
      headers: { etag: undefined },
    },
  },
  { name: 'GET /state needs credentials', request: 'GET /state', anonymous, expect: unauthorized },
  {
    name: 'caches are dropped',
    request: 'POST /state?action=dropcaches',
    expect: { status: 202, text: '' },
  },
  {
    name: 'an action is needed',
    request: 'POST /state',
    expect: failure(409, 'MissingParameter', '"action" is required'),
  },
  {
    name: 'an empty action is none',
    request: 'POST /state?action=',
    expect: failure(409, 'MissingParameter', '"action" is required'),
  },
  {
    name: 'another action is refused',
    request: 'POST /state?action=bogus',
    expect: failure(409, 'InvalidArgument', '"bogus" is not a valid action'),
  },
  {
    name: 'POST /state needs credentials',
    request: 'POST /state?action=bogus',
    anonymous,
    expect: unauthorized,
  },
  { name: 'DELETE /state', request: 'DELETE /state', expect: wrongMethod('DELETE', 'GET, POST, HEAD') },
  { name: 'POST /authkeys/reload', request: 'POST /authkeys/reload', expect: { text: '{}' } },
  { name: 'reloading needs credentials', request: 'POST /authkeys/reload', anonymous, expect: unauthorized },
  { name: 'GET /authkeys/reload', request: 'GET /authkeys/reload', expect: wrongMethod('GET', 'POST') },
]

const page: Expectation = {
  text: /^<!doctype html>.*imgadm sources -a.*POST \/images\/:uuid\/acl/is,
  headers: { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'public, max-age=3600' },
}
const notAPage = (path: string) => failure(406, 'NotAcceptable', `${path} is a page: ask for text/html`)
const PAGES: Case[] = [
  ...['/', '/docs', '/docs/'].flatMap((path): Case[] => [
    { name: `GET ${path} is a page for anybody`, request: `GET ${path}`, anonymous, expect: page },
    {
      name: `GET ${path} for a browser`,
      request: `GET ${path}`,
      headers: { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' },
      expect: page,
    },
    {
      name: `design: GET ${path} for a client that wants JSON`,
      request: `GET ${path}`,
      headers: { accept: 'application/json' },
      expect: notAPage(path),
    },
    {
      name: `HEAD ${path}`,
      request: `HEAD ${path}`,
      expect: { text: '', headers: { 'content-length': /^\d+$/ } },
    },
  ]),
  {
    name: 'what is not in the docs',
    request: 'GET /docs/nope',
    expect: notFound('/docs/nope does not exist'),
  },
  {
    name: 'the docs tell of no operation that is not there',
    request: 'GET /docs',
    expect: { text: /^(?!.*ListChannels)(?!.*CloneImage)/s },
  },
  {
    name: 'the icon of the pages',
    request: 'GET /favicon.ico',
    anonymous,
    expect: { headers: { 'content-type': 'image/svg+xml', 'cache-control': 'public, max-age=86400' } },
  },
]

const storError = (message: string, code = 'Invalid'): Expectation => ({
  ...failure(422, 'ValidationFailed', message),
  errors: [{ field: 'stor', code }],
})
const changeStor = (
  name: string,
  given: Case['given'] & {},
  query: string,
  expect: Expectation,
  more = {},
): Case => ({
  name,
  given,
  request: `POST /images/{image}?action=change-stor${query}`,
  expect,
  ...more,
})
const icon = { request: 'PUT /images/{image}/icon', body: 'icon', headers: { 'content-type': 'image/png' } }
const CHANGE_STOR: Case[] = [
  changeStor('an image is in the local store already', 'active', '&stor=local', {
    body: { uuid: '{image}', files: [{ sha1: '{sha1}', stor: 'local' }] },
    headers: { etag: undefined },
  }),
  changeStor('in any state', 'with file', '&stor=local', { body: { state: 'unactivated' } }),
  changeStor(
    'a store is needed',
    'active',
    '',
    storError('missing "stor" query parameter', 'MissingParameter'),
  ),
  changeStor('a store that is not there', 'active', '&stor=manta', storError('unknown storage type "manta"')),
  changeStor('a store of no kind', 'active', '&stor=bogus', storError('unknown storage type "bogus"')),
  changeStor(
    'an image without file',
    'unactivated',
    '&stor=local',
    invalidParameter('stor', 'image "{image}" has no file'),
  ),
  changeStor(
    'an image with an icon',
    'active',
    '&stor=local',
    failure(400, 'NotImplemented', 'cannot change stor for images with an icon'),
    { after: [icon] },
  ),
  changeStor('credentials are needed', 'active', '&stor=local', unauthorized, { anonymous }),
  {
    name: 'an unknown image',
    request: 'POST /images/{unknown}?action=change-stor&stor=local',
    expect: unknownImage,
  },
]

const notAvailable = (what: string) =>
  failure(501, 'NotAvailable', new RegExp(`^${what} is not currently available: `))
const ELSEWHERE: Case[] = [
  {
    name: 'images are not made of virtual machines',
    request: 'POST /images?action=create-from-vm&vm_uuid={unknown}',
    body: manifest(),
    expect: notAvailable('custom image creation'),
  },
  {
    name: 'images are not exported',
    given: 'active',
    request: 'POST /images/{image}?action=export&manta_path=/admin/stor',
    expect: notAvailable('exporting images to Manta'),
  },
  {
    name: 'unknown images are not exported',
    request: 'POST /images/{unknown}?action=export&manta_path=/admin/stor',
    expect: unknownImage,
  },
  {
    name: 'other people’s images are not exported',
    given: ['active', { public: true }],
    request: 'POST /images/{image}?action=export&manta_path=/x&account={alice}',
    expect: failure(422, 'NotImageOwner', 'account {alice} is not the owner of image {image}'),
  },
  {
    name: 'images are not pushed',
    request: 'POST /images/{unknown}/push?repoAndTag=x',
    body: {},
    expect: notAvailable('pushing docker images'),
  },
  ...['create-from-vm'].map(
    (action): Case => ({
      name: `${action} needs credentials`,
      request: `POST /images?action=${action}`,
      anonymous,
      expect: unauthorized,
    }),
  ),
  {
    name: 'pushing needs credentials',
    request: 'POST /images/{unknown}/push',
    anonymous,
    expect: unauthorized,
  },
]

const unknownJob = notFound('job {unknown} not found')
const JOBS: Case[] = [
  {
    name: 'an image that was never imported has no jobs',
    given: 'active',
    request: 'GET /images/{image}/jobs',
    anonymous,
    expect: { body: [] },
  },
  {
    name: 'an image that is not there',
    request: 'GET /images/{unknown}/jobs',
    anonymous,
    expect: unknownImage,
  },
  {
    name: 'the UUID of an image must be one',
    request: 'GET /images/nope/jobs',
    expect: notFound('/images/nope/jobs does not exist'),
  },
  {
    name: 'jobs are asked for by task',
    given: 'active',
    request: 'GET /images/{image}/jobs?task=import-remote-image&execution=failed',
    expect: { body: [] },
  },
  { name: 'POST of jobs', request: 'POST /images/{unknown}/jobs', expect: wrongMethod('POST', 'GET, HEAD') },
  { name: 'GET /jobs', request: 'GET /jobs', expect: { body: [] } },
  { name: 'GET /jobs by state', request: 'GET /jobs?state=running', expect: { body: [] } },
  { name: 'GET /jobs needs credentials', request: 'GET /jobs', anonymous, expect: unauthorized },
  { name: 'GET of an unknown job', request: 'GET /jobs/{unknown}', expect: unknownJob },
  {
    name: 'GET of an unknown job needs no credentials',
    request: 'GET /jobs/{unknown}',
    anonymous,
    expect: unknownJob,
  },
  { name: 'DELETE of an unknown job', request: 'DELETE /jobs/{unknown}', expect: unknownJob },
  {
    name: 'DELETE of a job needs credentials',
    request: 'DELETE /jobs/{unknown}',
    anonymous,
    expect: unauthorized,
  },
  {
    name: 'DELETE asks for credentials before it looks at the UUID',
    request: 'DELETE /jobs/nope',
    anonymous,
    expect: unauthorized,
  },
  {
    name: 'the UUID of a job must be one',
    request: 'GET /jobs/nope',
    expect: notFound('/jobs/nope does not exist'),
  },
  { name: 'PUT of a job', request: 'PUT /jobs/{unknown}', expect: wrongMethod('PUT', 'GET, DELETE, HEAD') },
]

const preflight = (path: string, method: string, allowed: string): Case => ({
  name: `a browser may ask whether it may ${method} ${path}`,
  request: `OPTIONS ${path}`,
  headers: { origin: 'http://example.com', 'access-control-request-method': method },
  anonymous,
  expect: {
    text: '',
    headers: {
      'access-control-allow-origin': '*',
      'access-control-allow-methods': allowed,
      'access-control-allow-headers': /accept-version/,
      'access-control-max-age': '3600',
    },
  },
})
const CORS: Case[] = [
  preflight('/ping', 'GET', 'GET, HEAD'),
  preflight('/images/{unknown}', 'DELETE', 'GET, POST, DELETE, HEAD'),
  preflight('/images/{unknown}/file', 'PUT', 'GET, PUT, HEAD'),
  preflight('/images/{unknown}/acl', 'POST', 'POST'),
  preflight('/jobs/{unknown}', 'HEAD', 'GET, DELETE, HEAD'),
  {
    name: 'a preflight without an origin is none',
    request: 'OPTIONS /ping',
    headers: { 'access-control-request-method': 'GET' },
    expect: wrongMethod('OPTIONS', 'GET, HEAD'),
  },
  {
    name: 'ordinary answers have no CORS headers',
    request: 'GET /ping',
    headers: { origin: 'http://example.com' },
    expect: { headers: { 'access-control-allow-origin': undefined } },
  },
]

conformance('8.1 Ping: sample errors', PING)
conformance('8.3 and 8.4 state and keys', ADMIN)
conformance('8.2 pages', PAGES)
conformance('8.12 AdminChangeImageStor', CHANGE_STOR)
conformance('what needs a Triton datacenter', ELSEWHERE)
conformance('8.17 jobs', JOBS)
conformance('2.1 CORS', CORS)
