import { type Answer, addFile, bytes, call, create, manifest, sha1, uuid } from '../support/api.ts'
import type { TestServer } from '../support/server.ts'

/** Every kind of change that clients ask for, each on an image of its own. */

export interface Operation {
  name: string
  /** Another one goes the same way to the disk. */
  isAlike?: boolean
  /** Makes what the change needs. `label` names the image. */
  prepare(server: TestServer, label: string): Promise<Change>
}

export interface Change {
  /** The image it is about, if its UUID is known. */
  uuid?: string
  run(): Promise<Answer>
  /** Codes of answers to the same request that are right when the change has happened already. */
  repeated: string[]
  /** How the image looks when it has happened. */
  isDone(): Promise<boolean>
}

export const alice = uuid()
const [bob, friend] = [uuid(), uuid()]

/** A server on which each of these changes can be made. */
export const CONFIG = {
  mode: 'dc',
  adminUuid: uuid(),
  channels: [
    { name: 'release', description: '', default: true },
    { name: 'dev', description: '' },
  ],
  allowPrivateSources: true,
  gateways: { mistify: { prefix: '/mistify' } },
  imports: { concurrency: 2, retries: 2, firstDelay: 10, longestDelay: 20 },
}

export const SMALL = 3000
/** Hashed by the thread behind the writes, which are several. */
const LARGE = 1_300_000

const post = (server: TestServer, path: string, body?: unknown) => call(server, 'POST', path, { body })

export const imageOf = async (server: TestServer, id: string) => {
  const headers = { 'accept-version': '*' }
  const { status, body } = await call(server, 'GET', `/images/${id}?channel=*`, { headers })
  return status === 200 ? body : undefined
}

type Has = (image: Awaited<ReturnType<typeof imageOf>>) => boolean

/** A change of one image. */
const onImage = (
  make: (server: TestServer, name: string) => Promise<string>,
  send: (server: TestServer, id: string) => () => Promise<Answer>,
  has: Has,
  repeated: string[] = [],
): Operation['prepare'] => {
  return async (server, label) => {
    const id = await make(server, label)
    const run = send(server, id)
    return { uuid: id, run, repeated, isDone: async () => has(await imageOf(server, id)) }
  }
}

const created = async (server: TestServer, name: string) =>
  (await create(server, { name, owner: alice })).uuid

async function uploaded(server: TestServer, name: string) {
  const id = await created(server, name)
  await addFile(server, id, bytes(SMALL))
  return id
}

async function activated(server: TestServer, name: string, changes: Record<string, unknown> = {}) {
  const { uuid: id } = await create(server, { name, owner: alice, ...changes })
  await addFile(server, id, bytes(SMALL))
  const { status, text } = await post(server, `/images/${id}?action=activate`)
  if (status !== 200) throw new Error(text)
  return id
}

async function withIcon(server: TestServer, name: string) {
  const id = await created(server, name)
  await putIcon(server, id, bytes(500))()
  return id
}

const put = (server: TestServer, id: string, content: Buffer) => () =>
  call(server, 'PUT', `/images/${id}/file?compression=none`, { body: content })

const putIcon = (server: TestServer, id: string, content: Buffer) => () =>
  call(server, 'PUT', `/images/${id}/icon`, { headers: { 'content-type': 'image/png' }, body: content })

/** An upload to an image that may have a file already. */
function upload(
  make: (server: TestServer, name: string) => Promise<string>,
  size: number,
): Operation['prepare'] {
  return async (server, label) => {
    const id = await make(server, label)
    const content = bytes(size)
    const isDone = async () => (await imageOf(server, id))?.files[0]?.sha1 === sha1(content)
    return { uuid: id, run: put(server, id, content), repeated: [], isDone }
  }
}

export const listed = async (server: TestServer, query: string) =>
  (await call(server, 'GET', `/images?state=all&channel=*&${query}`)).body as { files: { sha1: string }[] }[]

export const OPERATIONS: Operation[] = [
  {
    name: 'create',
    prepare: async (server, name) => ({
      run: () => post(server, '/images', manifest({ name, owner: alice })),
      repeated: [],
      isDone: async () => (await listed(server, `name=${name}`)).length > 0,
    }),
  },
  {
    name: 'import',
    prepare: async (server, name) => {
      const id = uuid()
      const body = manifest({ v: 2, uuid: id, name, owner: alice })
      return {
        uuid: id,
        run: () => post(server, `/images/${id}?action=import`, body),
        repeated: ['ImageUuidAlreadyExists'],
        isDone: async () => (await imageOf(server, id)) !== undefined,
      }
    },
  },
  { name: 'upload', prepare: upload(created, SMALL) },
  { name: 'large-upload', prepare: upload(created, LARGE) },
  { name: 're-upload', prepare: upload(uploaded, SMALL) },
  {
    name: 'icon',
    prepare: onImage(
      created,
      (server, id) => putIcon(server, id, bytes(500)),
      image => image?.icon === true,
    ),
  },
  {
    name: 'icon-again',
    prepare: onImage(
      withIcon,
      (server, id) => putIcon(server, id, bytes(600)),
      image => image?.icon === true,
    ),
  },
  {
    name: 'delete-icon',
    isAlike: true,
    prepare: onImage(
      withIcon,
      (server, id) => () => call(server, 'DELETE', `/images/${id}/icon`),
      image => image !== undefined && !image.icon,
      ['ResourceNotFound'],
    ),
  },
  {
    name: 'activate',
    prepare: onImage(
      uploaded,
      (server, id) => () => post(server, `/images/${id}?action=activate`),
      image => image?.state === 'active',
      ['ImageAlreadyActivated'],
    ),
  },
  {
    name: 'update',
    isAlike: true,
    prepare: onImage(
      created,
      (server, id) => () => post(server, `/images/${id}?action=update`, { description: 'changed' }),
      image => image?.description === 'changed',
    ),
  },
  {
    name: 'update-of-origin',
    prepare: async (server, name) => {
      const origin = await activated(server, `${name}-origin`)
      const change = onImage(
        uploaded,
        (_, id) => () => post(server, `/images/${id}?action=update`, { origin }),
        image => image?.origin === origin,
      )
      return change(server, name)
    },
  },
  {
    name: 'acl',
    isAlike: true,
    prepare: onImage(
      created,
      (server, id) => () => post(server, `/images/${id}/acl?action=add`, [friend]),
      image => image?.acl?.includes(friend),
    ),
  },
  {
    name: 'channel-add',
    isAlike: true,
    prepare: onImage(
      created,
      (server, id) => () => post(server, `/images/${id}?action=channel-add`, { channel: 'dev' }),
      image => image?.channels?.includes('dev'),
    ),
  },
  {
    name: 'change-of-uuid',
    prepare: async (server, name) => {
      const [old, id] = [await uploaded(server, name), uuid()]
      return {
        uuid: old,
        run: () => post(server, `/images/${old}?action=update`, { uuid: id }),
        repeated: ['ResourceNotFound'],
        isDone: async () => {
          const isMoved = (await imageOf(server, id)) !== undefined
          return isMoved && (await imageOf(server, old)) === undefined
        },
      }
    },
  },
  {
    name: 'disable',
    isAlike: true,
    prepare: onImage(
      created,
      (server, id) => () => post(server, `/images/${id}?action=disable`),
      image => image?.disabled === true,
    ),
  },
  {
    name: 'delete',
    prepare: onImage(
      activated,
      (server, id) => () => call(server, 'DELETE', `/images/${id}`),
      image => image === undefined,
      ['ResourceNotFound'],
    ),
  },
  {
    name: 'clone',
    prepare: async (server, name) => {
      const origin = await activated(server, `${name}-origin`)
      const id = await activated(server, name, { acl: [bob], origin })
      return {
        uuid: id,
        run: () => post(server, `/images/${id}/clone?account=${bob}`),
        repeated: [],
        isDone: async () => (await listed(server, `name=${name}&owner=${bob}`)).length > 0,
      }
    },
  },
]
