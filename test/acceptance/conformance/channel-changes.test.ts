import { call, manifest } from '../../support/api.ts'
import { add, CHANNELS, notInChannel, publishIn, setup, unknownChannel, v2 } from './channel-cases.ts'
import {
  type Case,
  conformance,
  failure,
  imageNotFound,
  invalidParameter,
  preconditionFailed,
  unauthorized,
  unknownImage,
  validationFailed,
} from './runner.ts'

/** Section 6: changing images on a server with channels; 8.12 ChannelAddImage and 8.14 DeleteImage. */

const WRITES: Case[] = [
  ...[
    'POST /images',
    'POST /images/{unknown}?action=activate',
    'POST /images/{unknown}?action=import',
    'POST /images/{unknown}/acl',
    'PUT /images/{unknown}/file?compression=none',
    'POST /images/{unknown}/file/from-url',
    'PUT /images/{unknown}/icon',
    'DELETE /images/{unknown}/icon',
    'DELETE /images/{unknown}',
  ].flatMap((request): Case[] => {
    const withChannel = `${request}${request.includes('?') ? '&' : '?'}channel=`
    const body = request.startsWith('DELETE') ? undefined : '{'
    return [
      {
        name: `${request} takes one channel, not all, and says so before it reads the body`,
        request: `${withChannel}*`,
        body,
        headers: { 'content-type': 'image/png' },
        expect: unknownChannel('*'),
      },
      {
        name: `${request} needs credentials before the channel is looked at`,
        request: `${withChannel}nope`,
        body,
        anonymous: true,
        expect: unauthorized,
      },
    ]
  }),
  ...[
    'POST /images/{dev}?action=disable',
    'POST /images/{dev}/acl',
    'PUT /images/{dev}/file?compression=none',
    'PUT /images/{dev}/icon',
    'DELETE /images/{dev}',
  ].map(
    (request): Case => ({
      name: `${request} does not find what is in another channel`,
      request,
      ...(!request.startsWith('DELETE') && { body: '[]' }),
      headers: { 'content-type': 'image/png' },
      expect: notInChannel,
    }),
  ),
  {
    name: 'a new image is in the default channel, whatever its manifest says',
    request: 'POST /images',
    headers: v2,
    body: manifest({ channels: ['dev', 'empty'] }),
    expect: { body: { channels: ['release'] } },
  },
  {
    name: 'a new image is in the channel that is named',
    request: 'POST /images?channel=dev',
    headers: v2,
    body: manifest(),
    expect: { body: { channels: ['dev'] } },
  },
  {
    name: 'an imported image is in the channel that is named, not where it was',
    request: 'POST /images/{alice}?action=import&channel=dev',
    headers: v2,
    body: manifest({ v: 2, uuid: '{alice}', channels: ['experimental'] }),
    expect: { body: { uuid: '{alice}', channels: ['dev'] } },
  },
  ...['activate', 'enable', 'disable'].map(
    (action): Case => ({
      name: `${action} shows channels by Accept-Version`,
      given: 'with file',
      request: `POST /images/{image}?action=${action}`,
      headers: v2,
      expect: { body: { channels: ['release'] } },
    }),
  ),
  {
    name: 'an upload shows channels by Accept-Version',
    given: 'unactivated',
    request: 'PUT /images/{image}/file?compression=none',
    headers: v2,
    body: 'content',
    expect: { body: { channels: ['release'] } },
  },
  {
    name: 'UpdateImage sets channels, known ones or not',
    given: 'active',
    request: 'POST /images/{image}?action=update',
    headers: v2,
    body: { channels: ['release', 'someday'] },
    expect: { body: { channels: ['release', 'someday'] } },
  },
  {
    name: 'UpdateImage does not take channels away altogether',
    given: 'active',
    request: 'POST /images/{image}?action=update',
    body: { channels: null },
    expect: validationFailed([['channels', 'MissingParameter']]),
  },
  {
    name: 'channels are an array',
    given: 'active',
    request: 'POST /images/{image}?action=update',
    body: { channels: 'dev' },
    expect: validationFailed([['channels', 'Invalid', 'invalid image "channels" (not an array): "dev"']]),
  },
  {
    name: 'another update leaves the channels alone',
    given: 'active',
    after: [add('dev')],
    request: 'POST /images/{image}?action=update',
    headers: v2,
    body: { name: 'renamed' },
    expect: { body: { name: 'renamed', channels: ['release', 'dev'] } },
  },
]

const CHANNEL_ADD: Case[] = [
  {
    name: 'an image is added to one more channel',
    given: 'active',
    ...add('dev'),
    headers: v2,
    expect: { body: { uuid: '{image}', channels: ['release', 'dev'] }, headers: { etag: /^"/ } },
  },
  {
    name: 'an unactivated image too',
    given: 'unactivated',
    ...add('dev'),
    headers: v2,
    expect: { body: { state: 'unactivated', channels: ['release', 'dev'] } },
  },
  {
    name: 'it is then found in both',
    given: 'active',
    after: [add('dev')],
    request: 'GET /images/{image}?channel=dev',
    expect: { body: { uuid: '{image}' } },
  },
  {
    name: 'adding to a channel that it is in changes nothing',
    given: 'active',
    ...add('release'),
    headers: v2,
    expect: { body: { channels: ['release'] } },
  },
  {
    name: 'the target must be known',
    given: 'active',
    ...add('nope'),
    expect: unknownChannel('nope'),
  },
  { name: 'the target is one channel', given: 'active', ...add('*'), expect: unknownChannel('*') },
  { name: 'the target is a name', given: 'active', ...add(5), expect: unknownChannel('5') },
  ...[{}, { channel: '' }, { channel: null }, { chanel: 'dev' }].map(
    (body): Case => ({
      name: `design: ${JSON.stringify(body)} names no target, and the default channel is none`,
      given: 'active',
      after: [add('dev')],
      request: 'POST /images/{image}?action=channel-add&channel=dev',
      body,
      headers: v2,
      expect: invalidParameter(
        'channel',
        'name the channel in the body: {"channel": NAME}',
        'MissingParameter',
      ),
    }),
  ),
  {
    name: 'design: other keys of the body are refused',
    given: 'active',
    request: 'POST /images/{image}?action=channel-add',
    body: { channel: 'dev', force: true },
    expect: invalidParameter('force', 'invalid extra parameters: "force"'),
  },
  {
    name: 'the image must be in the channel it comes from',
    given: 'active',
    ...add('empty', '&channel=dev'),
    expect: notInChannel,
  },
  {
    name: 'the channel it comes from must be known',
    given: 'active',
    ...add('dev', '&channel=nope'),
    expect: unknownChannel('nope'),
  },
  {
    name: 'an unknown image is not added',
    request: 'POST /images/{unknown}?action=channel-add',
    body: { channel: 'dev' },
    expect: unknownImage,
  },
  {
    name: 'adding needs a body',
    given: 'active',
    request: 'POST /images/{image}?action=channel-add',
    expect: {
      ...failure(422, 'ValidationFailed', 'missing request body'),
      errors: [{ field: 'body', code: 'MissingParameter' }],
    },
  },
  {
    name: 'adding needs credentials',
    given: 'active',
    ...add('dev'),
    anonymous: true,
    expect: unauthorized,
  },
  {
    name: 'adding is the owner’s',
    given: ['active', { public: true }],
    ...add('dev', '&account={bob}'),
    expect: failure(422, 'NotImageOwner', 'account {bob} is not the owner of image {image}'),
  },
  {
    name: 'If-Match of another version fails channel-add',
    given: 'active',
    ...add('dev'),
    headers: { 'if-match': 'other' },
    expect: preconditionFailed(`if-match 'other' didn't match etag '{etag}'`),
  },
  {
    name: 'If-None-Match of this version fails channel-add',
    given: 'active',
    ...add('dev'),
    headers: { 'if-none-match': '"{etag}"' },
    expect: preconditionFailed(`if-none-match '"{etag}"' matched etag '{etag}'`),
  },
]

const DELETE: Case[] = [
  {
    name: 'deleting an image of two channels',
    given: 'active',
    after: [add('dev')],
    request: 'DELETE /images/{image}',
    expect: { status: 204, text: '' },
    leaves: { uuid: '{image}', files: [{ sha1: '{sha1}' }] },
  },
  {
    name: 'it is gone from the channel of the request',
    given: 'active',
    after: [add('dev'), 'DELETE /images/{image}'],
    request: 'GET /images/{image}',
    expect: notInChannel,
  },
  {
    name: 'and still in the other, with its file',
    given: 'active',
    after: [add('dev'), 'DELETE /images/{image}'],
    request: 'GET /images/{image}/file?channel=dev',
    headers: v2,
    expect: { headers: { 'content-md5': '{md5}' } },
  },
  {
    name: 'its manifest says so',
    given: 'active',
    after: [add('dev'), 'DELETE /images/{image}'],
    request: 'GET /images/{image}?channel=dev',
    headers: v2,
    expect: { body: { channels: ['dev'] } },
  },
  {
    name: 'deleting it from its last channel deletes it',
    given: 'active',
    after: [add('dev'), 'DELETE /images/{image}', 'DELETE /images/{image}?channel=dev'],
    request: 'GET /images/{image}?channel=*',
    expect: imageNotFound,
  },
  {
    name: 'force_all_channels deletes it from all at once',
    given: 'active',
    after: [add('dev'), 'DELETE /images/{image}?force_all_channels=true'],
    request: 'GET /images/{image}?channel=*',
    expect: imageNotFound,
  },
  {
    name: 'force_all_channels=false is as if it were left out',
    given: 'active',
    after: [add('dev')],
    request: 'DELETE /images/{image}?force_all_channels=false',
    expect: { status: 204 },
    leaves: { uuid: '{image}' },
  },
  {
    name: 'an origin leaves a channel in which it has no children',
    request: 'DELETE /images/{origin}?channel=release',
    expect: { status: 204 },
  },
  {
    name: 'an origin stays in a channel in which it has children',
    request: 'DELETE /images/{busy}?channel=dev',
    expect: failure(
      422,
      'ImageHasDependentImages',
      'image "{busy}" has 1 dependent incremental image(s): {child}',
    ),
  },
  {
    name: 'design: an origin that has children in any channel is never deleted altogether',
    request: 'DELETE /images/{busy}?channel=release&force_all_channels=true',
    expect: failure(
      422,
      'ImageHasDependentImages',
      'image "{busy}" has 1 dependent incremental image(s): {child}',
    ),
  },
]

const config = { channels: CHANNELS }
conformance('6 channels: writes', WRITES, { config, setup })
conformance('6 channels: ChannelAddImage', CHANNEL_ADD, { config, setup })
conformance('6 channels: DeleteImage', DELETE, {
  config,
  setup: async server => {
    const family = async () => {
      const origin = await publishIn(server, 'dev', 'origin')
      await call(server, 'POST', `/images/${origin}?action=channel-add&channel=dev`, {
        body: { channel: 'release' },
      })
      const { body } = await call(server, 'POST', '/images?channel=dev', { body: manifest({ origin }) })
      return [origin, body.uuid as string] as const
    }
    const [origin] = await family()
    const [busy, child] = await family()
    return { origin, busy, child }
  },
})
