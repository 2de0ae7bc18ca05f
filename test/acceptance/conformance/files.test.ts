import { gzipSync } from 'node:zlib'
import { sha1 } from '../../support/api.ts'
import {
  type Case,
  CONTENT,
  conformance,
  failure,
  imageNotFound,
  invalidParameter,
  notFound,
  preconditionFailed,
  unauthorized,
  unknownImage,
} from './runner.ts'

/** Sections 8.8 and 8.9: GetImageFile and AddImageFile. */

const read = (name: string, expect: Case['expect'], more: Partial<Case> = {}): Case => ({
  name,
  given: 'active',
  request: 'GET /images/{image}/file',
  expect,
  ...more,
})
const whole = { headers: { 'content-length': '1000', 'content-md5': '{md5}' } }
const headers = (name: string, value: string) => ({ headers: { [name]: value } })
const LATER = 'Fri, 01 Jan 2100 00:00:00 GMT'
const EARLIER = 'Fri, 01 Jan 2010 00:00:00 GMT'
const notModified = { status: 304, text: '', headers: { etag: '"{sha1}"', 'content-length': undefined } }
const part = (range: string, length: string) => ({
  status: 206,
  headers: { 'content-range': `bytes ${range}/1000`, 'content-length': length, 'content-md5': undefined },
})

conformance('8.8 GetImageFile', [
  read('a file comes with all that clients need', {
    headers: {
      etag: '"{sha1}"',
      'last-modified': /GMT$/,
      'content-length': '1000',
      'content-type': 'application/octet-stream',
      'content-md5': '{md5}',
      'accept-ranges': 'bytes',
      'transfer-encoding': undefined,
      'content-encoding': undefined,
    },
  }),
  read('anybody reads it', whole, { anonymous: true }),
  read('of a disabled image too', whole, { given: 'disabled', anonymous: true }),
  read('of an unactivated one too, for users', whole, { given: 'with file' }),
  read('design: not for anybody', imageNotFound, { given: 'with file', anonymous: true }),
  read('design: wrong credentials are refused', unauthorized, headers('authorization', 'Basic eDp5')),
  read('an image without a file', notFound('image "{image}" has no file'), { given: 'unactivated' }),
  read('index 0 is the file', whole, { request: 'GET /images/{image}/file?index=0' }),
  read('an index that is no number is 0', whole, { request: 'GET /images/{image}/file?index=x' }),
  ...[1, -1].map(index =>
    read(`no file at index ${index}`, notFound(`image "{image}" has no file at index ${index}`), {
      request: `GET /images/{image}/file?index=${index}`,
    }),
  ),
  { name: 'an unknown image', request: 'GET /images/{unknown}/file', expect: unknownImage },
  read('a stranger sees nothing', notFound('image not found'), {
    request: 'GET /images/{image}/file?account={bob}',
  }),
  read('If-None-Match of the file’s ETag', notModified, headers('if-none-match', '"{sha1}"')),
  read('If-None-Match of the manifest’s ETag', notModified, headers('if-none-match', '{etag}')),
  read('If-None-Match of anything', notModified, headers('if-none-match', '*')),
  read('If-None-Match of something else', whole, headers('if-none-match', '"x"')),
  read('If-Match of the manifest’s ETag', whole, headers('if-match', '{etag}')),
  read('If-Match of the file’s ETag', whole, headers('if-match', '"{sha1}"')),
  read(
    'If-Match of something else',
    preconditionFailed(`if-match '"x"' didn't match etag '{sha1}'`),
    headers('if-match', '"x"'),
  ),
  read('If-Modified-Since later', notModified, headers('if-modified-since', LATER)),
  read('If-Modified-Since earlier', whole, headers('if-modified-since', EARLIER)),
  read('If-Modified-Since that is no date', whole, headers('if-modified-since', 'x')),
  read('If-Unmodified-Since later', whole, headers('if-unmodified-since', LATER)),
  read(
    'If-Unmodified-Since earlier',
    preconditionFailed(/modified/),
    headers('if-unmodified-since', EARLIER),
  ),
  read('design: the first bytes', part('0-9', '10'), headers('range', 'bytes=0-9')),
  read('design: the last bytes', part('990-999', '10'), headers('range', 'bytes=-10')),
  read('design: the rest', part('500-999', '500'), headers('range', 'bytes=500-')),
  read('design: a range that ends beyond', part('999-999', '1'), headers('range', 'bytes=999-5000')),
  read(
    'design: a range beyond',
    failure(416, 'RangeNotSatisfiable', /1000 bytes/),
    headers('range', 'bytes=1000-'),
  ),
  ...['bytes=x', 'lines=1-2', 'bytes=0-1,5-6', ''].map(range =>
    read(`design: a range of "${range}" means all`, whole, headers('range', range)),
  ),
  read('design: If-Range of this file', part('0-9', '10'), {
    headers: { range: 'bytes=0-9', 'if-range': '"{sha1}"' },
  }),
  read('design: If-Range of another file means all', whole, {
    headers: { range: 'bytes=0-9', 'if-range': '"x"' },
  }),
])

const add = (name: string, query: string, expect: Case['expect'], more: Partial<Case> = {}): Case => ({
  name,
  given: 'unactivated',
  request: `PUT /images/{image}/file${query}`,
  body: CONTENT,
  expect,
  ...more,
})
const stored = (compression: string) => ({ body: { files: [{ sha1: '{sha1}', size: 1000, compression }] } })
const GZIP = gzipSync(CONTENT)
const refused = { leaves: { files: [] } }
const upload = (message: string | RegExp) => failure(400, 'Upload', message)
const badCompression = (value: string) =>
  invalidParameter('compression', `invalid compression "${value}" (must be one of gzip, bzip2, xz, none)`)

conformance('8.9 AddImageFile', [
  add('a file is stored', '?compression=none', { ...stored('none'), headers: { etag: /^"[0-9a-f]{40}"$/ } }),
  add('design: the compression may be left out', '', stored('none')),
  add(
    'design: the compression is read from the bytes',
    '',
    { body: { files: [{ compression: 'gzip' }] } },
    { body: GZIP },
  ),
  ...['compression', 'sha1', 'dataset_guid', 'storage', 'index', 'source'].map(name =>
    add(
      `design: an empty ${name} is refused, and no default taken`,
      `?${name}=`,
      invalidParameter(name, `the parameter "${name}" is empty: give it a value, or leave it out`),
      refused,
    ),
  ),
  add(
    'the compression is kept',
    '?compression=gzip',
    { body: { files: [{ compression: 'gzip', sha1: sha1(GZIP) }] } },
    { body: GZIP },
  ),
  ...['zip', 'GZIP', 'constructor'].map(value =>
    add(`compression=${value} is refused`, `?compression=${value}`, badCompression(value), refused),
  ),
  ...['gzip', 'bzip2', 'xz'].map(value =>
    add(
      `design: compression=${value} must be true`,
      `?compression=${value}`,
      invalidParameter('compression', new RegExp(`not ${value}`)),
      refused,
    ),
  ),
  add(
    'design: compression=none takes anything',
    '?compression=none',
    { body: { files: [{ compression: 'none' }] } },
    { body: GZIP },
  ),
  add('a matching sha1', '?sha1={sha1}', stored('none')),
  add(
    'design: another sha1 is refused as Upload',
    '?sha1=deadbeef',
    upload('"sha1" hash, deadbeef, does not match the uploaded file sha1 hash, {sha1}'),
    refused,
  ),
  add(
    'design: an empty file is refused as Upload',
    '',
    upload('image file size is 0 bytes, empty files are not allowed'),
    { body: '', ...refused },
  ),
  add('a matching Content-MD5', '', stored('none'), headers('content-md5', '{md5}')),
  add('another Content-MD5 is refused', '', failure(400, 'BadDigest', /didn't match/), {
    ...headers('content-md5', 'eA=='),
    ...refused,
  }),
  add('a dataset_guid is kept', '?dataset_guid=123', { body: { files: [{ dataset_guid: '123' }] } }),
  ...['local', 'manta'].map(storage => add(`storage=${storage}`, `?storage=${storage}`, stored('none'))),
  add(
    'another storage',
    '?storage=x',
    invalidParameter('storage', 'invalid storage "x" (must be one of local, manta)'),
    refused,
  ),
  add(
    'accounts choose no storage',
    '?storage=local&account={alice}',
    {
      status: 422,
      code: 'InvalidParameter',
      message: 'invalid storage "local"',
      errors: [
        { field: 'storage', code: 'NotAllowed', message: 'Parameter cannot be specified by non-operators' },
      ],
    },
    { given: ['unactivated', { owner: '{alice}' }] },
  ),
  add('an index is ignored', '?index=1', stored('none')),
  ...['x', '1.5', '-1', '0x1'].map(index =>
    add(
      `design: index=${index} is refused`,
      `?index=${index}`,
      invalidParameter('index', `invalid index "${index}": not a whole number`),
      refused,
    ),
  ),
  add(
    'a new file replaces the old one and all that was said of it',
    '',
    { without: ['files.0.dataset_guid'], ...stored('none') },
    {
      after: [{ request: 'PUT /images/{image}/file?dataset_guid=123', body: GZIP }],
    },
  ),
  add('a failed upload leaves the file that was there', '?sha1=beef', upload(/beef/), {
    given: 'with file',
    body: GZIP,
    leaves: { files: [{ sha1: '{sha1}' }] },
  }),
  add(
    'the compression is checked after the state',
    '?compression=zip',
    { status: 422, code: 'ImageFilesImmutable' },
    { given: 'active' },
  ),
  add('the type of the body says nothing', '', stored('none'), headers('content-type', 'application/json')),
  add('credentials are needed', '', unauthorized, { anonymous: true, ...refused }),
  add('a stranger sees no image', '?account={bob}', notFound('image not found'), refused),
  add('only the owner adds a file', '?account={bob}', failure(422, 'ImageFilesImmutable', /./), {
    given: ['active', { owner: '{bob}' }],
  }),
  { name: 'an unknown image', request: 'PUT /images/{unknown}/file', body: CONTENT, expect: unknownImage },
  {
    name: 'a UUID that is none',
    request: 'PUT /images/x/file',
    body: CONTENT,
    expect: notFound('/images/x/file does not exist'),
  },
])

conformance(
  'design: a size limit, if one is configured',
  [
    add('a file of that size', '', stored('none')),
    add(
      'one byte more is refused by its Content-Length',
      '',
      upload(/size 1001 \(from Content-Length\) exceeds .* 1000 bytes/),
      {
        body: new Uint8Array(1001),
        ...refused,
      },
    ),
  ],
  { config: { maxImageSize: 1000 } },
)
