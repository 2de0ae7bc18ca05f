import { manifest } from '../../support/api.ts'
import {
  add,
  CHANNELS,
  noDefault,
  notInChannel,
  publishIn,
  setup,
  unknownChannel,
  v2,
} from './channel-cases.ts'
import {
  type Case,
  conformance,
  failure,
  imageNotFound,
  notFound,
  unauthorized,
  unknownImage,
  validationFailed,
} from './runner.ts'

/** Section 6: reading from servers with channels, with and without a default one, and servers that have none. */

const lists = (query: string, names: string[], more: Partial<Case> = {}): Case => ({
  name: `GET /images${query} lists ${names.join(', ') || 'nothing'}`,
  request: `GET /images${query}`,
  expect: { names },
  ...more,
})

const READS: Case[] = [
  {
    name: 'the channels are listed as they are configured, to anybody',
    request: 'GET /channels',
    anonymous: true,
    expect: { body: CHANNELS },
  },
  {
    name: 'wrong credentials see no channels',
    request: 'GET /channels',
    headers: { authorization: 'Basic eDp5' },
    expect: unauthorized,
  },
  {
    name: 'channels are not posted',
    request: 'POST /channels',
    expect: { status: 405, code: 'MethodNotAllowedError', headers: { allow: 'GET, HEAD' } },
  },
  lists('', ['in-release', 'in-both']),
  lists('?channel=', ['in-release', 'in-both']),
  lists('?channel=release', ['in-release', 'in-both']),
  lists('?channel=dev', ['in-dev', 'in-both']),
  lists('?channel=empty', []),
  lists('?channel=*', ['in-dev', 'in-release', 'in-both']),
  lists('?channel=dev&name=in-both', ['in-both']),
  lists('?channel=*&limit=1&marker={release}', ['in-release']),
  lists('?channel=dev', ['in-dev', 'in-both'], { name: 'anybody lists a channel', anonymous: true }),
  {
    name: 'a marker from another channel is not found',
    request: 'GET /images?marker={dev}',
    expect: notFound('image {dev} not found'),
  },
  {
    name: 'the channel is checked before the other parameters of a list',
    request: 'GET /images?channel=nope&limit=x',
    expect: unknownChannel('nope'),
  },
  ...['', '/file', '/icon'].flatMap((part): Case[] => [
    {
      name: `GET image${part} in the default channel`,
      request: `GET /images/{release}${part}`,
      expect: { headers: { etag: /^"/ } },
    },
    {
      name: `GET image${part} in another channel, which is not named`,
      request: `GET /images/{dev}${part}`,
      expect: notInChannel,
    },
    {
      name: `GET image${part} in the channel that is named`,
      request: `GET /images/{dev}${part}?channel=dev`,
      expect: { headers: { etag: /^"/ } },
    },
    {
      name: `GET image${part} in whatever channel`,
      request: `GET /images/{dev}${part}?channel=*`,
      anonymous: true,
      expect: { headers: { etag: /^"/ } },
    },
    {
      name: `GET image${part} in an unknown channel`,
      request: `GET /images/{unknown}${part}?channel=nope`,
      expect: unknownChannel('nope'),
    },
    {
      name: `GET image${part} that is in no channel at all`,
      request: `GET /images/{unknown}${part}?channel=*`,
      expect: unknownImage,
    },
  ]),
  {
    name: 'the UUID is looked at before the channel is',
    request: 'GET /images/nope?channel=nope',
    expect: notFound('/images/nope?channel=nope does not exist'),
  },
  {
    name: 'jobs take the name of a channel',
    request: 'GET /images/{dev}/jobs?channel=nope',
    expect: unknownChannel('nope'),
  },
  {
    name: 'jobs take every channel',
    request: 'GET /images/{dev}/jobs?channel=*',
    expect: { body: [] },
  },
]

const VERSIONS: Case[] = [
  ...['*', '2', '~2', '2.0.0', '>=1', '~1||~2'].map(
    (version): Case => ({
      name: `Accept-Version ${version} shows channels`,
      request: 'GET /images/{both}',
      headers: { 'accept-version': version },
      expect: { body: { channels: ['release', 'dev'] }, headers: { etag: /^"/ } },
    }),
  ),
  ...['1', '~1', '1.0.0'].map(
    (version): Case => ({
      name: `Accept-Version ${version} shows no channels`,
      request: 'GET /images/{both}',
      headers: { 'accept-version': version },
      expect: { without: ['channels'] },
    }),
  ),
  {
    name: 'without Accept-Version no channels are shown',
    request: 'GET /images/{both}',
    expect: { without: ['channels'] },
  },
  {
    name: 'lists show channels by Accept-Version',
    request: 'GET /images?channel=*&name=in-dev',
    headers: v2,
    expect: { text: /"channels": \[\s*"dev"\s*\]/ },
  },
  {
    name: 'lists without it do not',
    request: 'GET /images?channel=*&name=in-dev',
    expect: { text: /^(?!.*channels).*in-dev/s },
  },
  {
    name: 'the ETag is that of the version: another one does not match',
    given: 'active',
    request: 'GET /images/{image}',
    headers: { ...v2, 'if-none-match': '"{etag}"' },
    expect: { status: 200 },
  },
]

const config = { channels: CHANNELS }
conformance('6 channels: reads', READS, { config, setup })
conformance('2.4 and 6 channels: versions', VERSIONS, { config, setup })
conformance(
  '6 channels without a default one',
  [
    ...[
      'GET /images',
      'GET /images/{unknown}',
      'GET /images/{unknown}/file',
      'POST /images/{unknown}?action=activate',
      'DELETE /images/{unknown}',
    ].map((request): Case => ({ name: `${request} must name one`, request, expect: noDefault })),
    {
      name: 'POST /images must name one',
      request: 'POST /images',
      body: manifest(),
      expect: noDefault,
    },
    lists('?channel=*', ['one']),
    lists('?channel=dev', ['one']),
    {
      name: 'the channels are listed',
      request: 'GET /channels',
      expect: {
        body: [
          { name: 'dev', description: 'd' },
          { name: 'release', description: 'r' },
        ],
      },
    },
    { name: 'ping needs none', request: 'GET /ping', expect: { body: { ping: 'pong' } } },
  ],
  {
    config: {
      channels: [
        { name: 'dev', description: 'd' },
        { name: 'release', description: 'r' },
      ],
    },
    setup: async server => ({ one: await publishIn(server, 'dev', 'one') }),
  },
)

conformance('6 a server without channels', [
  {
    name: 'GET /channels is no route',
    request: 'GET /channels',
    expect: notFound('/channels does not exist'),
  },
  {
    name: 'channel-add is no action',
    given: 'active',
    ...add('dev'),
    expect: {
      ...failure(422, 'InvalidParameter', '"channel-add" is not a valid action'),
      errors: [{ field: 'action', code: 'Invalid' }],
    },
  },
  {
    name: 'manifests have no channels, whatever the client sent',
    request: 'POST /images?channel=dev',
    headers: v2,
    body: manifest({ channels: ['dev'] }),
    expect: { without: ['channels'] },
  },
  {
    name: 'UpdateImage sets none',
    given: 'active',
    request: 'POST /images/{image}?action=update',
    body: { channels: ['dev'] },
    expect: validationFailed([
      ['channels', 'Invalid', 'channels is invalid with an IMGAPI not configured for channels'],
    ]),
  },
  ...[
    'GET /images?channel=nope&name=nothing',
    'GET /images/{image}?channel=nope',
    'GET /images/{image}/file?channel=*',
    'POST /images/{image}?action=disable&channel=*',
    'POST /images/{image}/acl?channel=nope',
    'GET /images/{image}/jobs?channel=nope',
  ].map(
    (request): Case => ({
      name: `${request} ignores the channel`,
      given: 'active',
      request,
      ...(request.includes('/acl') && { body: [] }),
      expect: { status: 200 },
    }),
  ),
  {
    name: 'DELETE ignores the channel and force_all_channels',
    given: 'active',
    after: ['DELETE /images/{image}?channel=nope&force_all_channels=false'],
    request: 'GET /images/{image}',
    expect: imageNotFound,
  },
])
