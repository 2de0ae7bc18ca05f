import { call, publish } from '../../support/api.ts'
import type { TestServer } from '../../support/server.ts'
import {
  ALICE,
  type Case,
  CONTENT,
  conformance,
  type Expectation,
  NOBODY,
  notFound,
  unauthorized,
} from './runner.ts'

/** Section 8.20: the old Dataset API, for reading; design: answered in place, since old clients do not follow. */

async function setup(server: TestServer) {
  const base = await publish(server, CONTENT, { name: 'base', version: '1.0.0', public: true, owner: ALICE })
  const newer = await publish(server, CONTENT, { name: 'base', version: '2.0.0' })
  const hidden = await publish(server, CONTENT, { name: 'hidden' })
  await call(server, 'POST', `/images/${hidden.uuid}?action=disable`)
  await call(server, 'POST', '/images', {
    body: { name: 'new', version: '1', type: 'other', os: 'other' },
  })
  return { base: base.uuid, newer: newer.uuid, hidden: hidden.uuid, url: server.url }
}

const anonymous = true
const lists = (path: string, names: string[], more: Partial<Case> = {}): Case => ({
  name: `GET ${path} finds ${names.join(', ') || 'nothing'}${more.anonymous ? ', to anybody' : ''}`,
  request: `GET ${path}`,
  expect: { names, headers: { location: undefined } },
  ...more,
})
const only = (path: string, id: string): Case => ({
  name: `GET ${path} finds ${id} alone`,
  request: `GET ${path}`,
  expect: { text: new RegExp(`^\\[\\s*\\{[^]*"version": "${id}"[^]*\\}\\s*\\]$`) },
})

const dataset: Expectation = {
  body: {
    v: 2,
    uuid: '{base}',
    owner: ALICE,
    name: 'base',
    version: '1.0.0',
    state: 'active',
    creator_uuid: ALICE,
    vendor_uuid: ALICE,
    creator_name: 'smartos',
    urn: 'smartos:smartos:base:1.0.0',
    files: [
      {
        path: '{base}/file',
        url: '{url}/images/{base}/file',
        sha1: '{sha1}',
        size: CONTENT.length,
        compression: 'none',
      },
    ],
  },
  headers: { 'content-type': 'application/json', location: undefined },
}

conformance(
  '8.20 datasets',
  [
    lists('/datasets', ['base', 'base']),
    lists('/datasets', ['base', 'base'], { anonymous }),
    lists('/datasets/', ['base', 'base']),
    {
      name: 'a dataset is an image in the old form',
      request: 'GET /datasets/{base}',
      anonymous,
      expect: dataset,
    },
    {
      name: 'an owner that is nobody is the creator too',
      request: 'GET /datasets/{newer}',
      expect: { body: { creator_uuid: NOBODY, vendor_uuid: NOBODY } },
    },
    {
      name: 'a disabled one is found by its UUID, as an origin',
      request: 'GET /datasets/{hidden}',
      anonymous,
      expect: { body: { uuid: '{hidden}', state: 'disabled' } },
    },
    {
      name: 'an unknown one is not found',
      request: 'GET /datasets/{unknown}',
      expect: notFound('image {unknown} not found'),
    },
    lists('/datasets/base', ['base', 'base']),
    lists('/datasets/sdc:sdc:base', ['base', 'base']),
    only('/datasets/base:2.0.0', '2.0.0'),
    only('/datasets/sdc:sdc:base:1.0.0', '1.0.0'),
    lists('/datasets/base:3.0.0', []),
    lists('/datasets/hidden', []),
    lists('/datasets/nope', []),
    {
      name: 'datasets are not written',
      request: 'POST /datasets',
      expect: { status: 405, code: 'MethodNotAllowedError', headers: { allow: 'GET, HEAD' } },
    },
    {
      name: 'wrong credentials are refused',
      request: 'GET /datasets',
      headers: { authorization: 'Basic eDp5' },
      expect: unauthorized,
    },
    {
      name: 'ping says that this is an Image API too',
      request: 'GET /ping',
      anonymous,
      expect: { body: { imgapi: true } },
    },
  ],
  { setup },
)

conformance(
  '8.20 datasets and `anonymous: "public"`',
  [
    lists('/datasets', ['base'], { anonymous }),
    lists('/datasets', ['base', 'base']),
    {
      name: 'what is private is not found',
      request: 'GET /datasets/{newer}',
      anonymous,
      expect: notFound('image {newer} not found'),
    },
  ],
  { config: { anonymous: 'public' }, setup },
)

conformance(
  '8.20 datasets and `anonymous: "none"`',
  [
    { name: 'the list needs credentials', request: 'GET /datasets', anonymous, expect: unauthorized },
    { name: 'so does a dataset', request: 'GET /datasets/{base}', anonymous, expect: unauthorized },
  ],
  { config: { anonymous: 'none' }, setup },
)

conformance(
  '8.20 datasets of a server with channels, which their clients do not know',
  [
    lists('/datasets', ['base', 'base'], { anonymous }),
    lists('/datasets?channel=dev', ['in-dev']),
    lists('/datasets?channel=*', ['base', 'base', 'in-dev']),
    lists('/datasets/in-dev', []),
    {
      name: 'one of another channel is not found',
      request: 'GET /datasets/{dev}',
      expect: notFound('image not found'),
    },
    {
      name: 'its file is in the channel that was named',
      request: 'GET /datasets/{dev}?channel=dev',
      expect: { body: { files: [{ url: '{url}/images/{dev}/file?channel=dev' }] } },
    },
  ],
  {
    config: {
      channels: [
        { name: 'release', description: '', default: true },
        { name: 'dev', description: '' },
      ],
    },
    setup: async server => {
      const names = await setup(server)
      const { uuid } = await publish(server, CONTENT, { name: 'in-dev' })
      const path = `/images/${uuid}?action=update`
      await call(server, 'POST', path, { body: { channels: ['dev'] } })
      return { ...names, dev: uuid }
    },
  },
)

conformance(
  '8.20 datasets behind a front',
  [
    {
      name: 'files have the URL that clients know the server by',
      request: 'GET /datasets/{base}',
      expect: { body: { files: [{ url: 'https://images.example.com/images/{base}/file' }] } },
    },
  ],
  { config: { publicUrl: 'https://images.example.com/' }, setup },
)
