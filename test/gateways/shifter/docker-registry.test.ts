import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { expect } from 'vitest'
import { namesIn } from '../../support/folders.ts'
import { layerOf, tarOf } from '../../support/layers.ts'
import { needsAll } from '../../support/programs.ts'
import { CONFIG, LOGIN, push, pushIndex, startRegistry } from '../../support/registry.ts'
import { ALICE, BOB, lookup, pull, readMeta, startShifter } from '../../support/shifter.ts'
import { squashfsContent, squashfsTree } from '../../support/squashfs.ts'

/** Against the real registry of the distribution project, with tokens. */

const test = needsAll({
  'docker-registry': 'docker-registry',
  openssl: 'openssl',
  sqfstar: 'squashfs-tools',
  unsquashfs: 'squashfs-tools',
  zstd: 'zstd',
})

/** With a colon in the password. */
const CREDENTIALS = `${LOGIN.user}:${LOGIN.password}`
const OWN = { arm64: 'arm64', x64: 'amd64' }[process.arch as string] ?? process.arch

const configOf = (architecture: string) => ({ ...CONFIG, architecture })
const idOf = ({ digest }: { digest: string }) => digest.slice('sha256:'.length)

async function start() {
  const registry = await startRegistry('token')
  const name = registry.host
  const gateway = await startShifter({
    imagemanager: {
      DefaultImageLocation: name,
      // A name with a port, as people type it.
      Locations: { [name]: { remotetype: 'dockerv2', url: registry.url, authMethod: 'token' } },
    },
  })
  const file = (id: string, end = 'squashfs') => join(gateway.imageDir, `${id}.${end}`)
  return { registry, name, gateway, file }
}

test('layers of gzip and zstd are pulled by tag, by digest and with the name of the registry', async () => {
  const { registry, name, gateway, file } = await start()
  const zstd = execFileSync('zstd', ['-qc'], {
    input: tarOf([{ name: 'etc/.wh.gone' }, { name: 'top', content: 'zstd' }]),
  })
  const gzip = layerOf({ name: 'etc/gone', content: 'x' }, { name: 'etc/kept', content: 'kept', mode: 0o400 })
  const config = { ...configOf(OWN), config: { Env: ['PATH=/bin'], Entrypoint: ['/bin/sh'] } }
  const id = idOf(await push(registry, 'team/demo', '1.0', [gzip, zstd], { config, kind: 'oci' }))
  expect(await pull(gateway, 'team/demo:1.0')).toMatchObject({ status: 'READY', id, ENTRY: ['/bin/sh'] })
  expect(squashfsTree(file(id))).toEqual({
    etc: 'drwxr-xr-x 0/0',
    'etc/kept': '-r-------- 0/0',
    top: '-rw-r--r-- 0/0',
  })
  expect(squashfsContent(file(id), 'top')).toBe('zstd')
  for (const tag of [`team/demo@sha256:${id}`, `${name}/team/demo:1.0`]) {
    expect(await pull(gateway, tag)).toMatchObject({ status: 'READY', id })
  }
  expect((await lookup(gateway, 'team/demo:1.0')).body.tag).toEqual([
    'team/demo:1.0',
    `team/demo@sha256:${id}`,
    `${name}/team/demo:1.0`,
  ])
  expect(namesIn(gateway.imageDir)).toEqual([`${id}.meta`, `${id}.squashfs`])
})

test('of an index the image for this machine is taken, and the index is what has the id', async () => {
  const { registry, gateway, file } = await start()
  const image = async (repository: string, architecture: string) => {
    const layers = [layerOf({ name: 'architecture', content: architecture })]
    const config = configOf(architecture)
    return {
      image: await push(registry, repository, undefined, layers, { config, kind: 'oci' }),
      architecture,
    }
  }
  const both = [await image('team/multi', 's390x'), await image('team/multi', OWN)]
  const id = idOf({ digest: await pushIndex(registry, 'team/multi', 'latest', both) })
  expect(await pull(gateway, 'team/multi')).toMatchObject({ status: 'READY', id })
  expect(squashfsContent(file(id), 'architecture')).toBe(OWN)

  await pushIndex(registry, 'team/other', 'latest', [await image('team/other', 's390x')])
  const failed = await pull(gateway, 'team/other')
  expect(failed).toMatchObject({ status: 'FAILURE' })
  expect(failed.status_message).toContain('s390x')
})

test('a private image behind a token is for who has the login', async () => {
  const { registry, name, gateway, file } = await start()
  const layers = [layerOf({ name: 'secret', content: 'x' })]
  const id = idOf(await push(registry, 'private/demo', '1', layers, { config: configOf(OWN) }))
  const denied = await pull(gateway, 'private/demo:1', { as: BOB })
  expect(denied).toMatchObject({ status: 'FAILURE' })
  expect(denied.status_message).toContain('authentication')
  const wrong = { ...BOB, logins: { [name]: 'alice:wrong' } }
  expect((await pull(gateway, 'private/demo:1', { as: wrong })).status).toBe('FAILURE')

  const alice = { ...ALICE, logins: { [name]: CREDENTIALS } }
  expect(await pull(gateway, 'private/demo:1', { as: alice })).toMatchObject({
    status: 'READY',
    id,
    userACL: [ALICE.uid],
  })
  expect(readMeta(file(id, 'meta')).USERACL).toBe(String(ALICE.uid))
  expect((await lookup(gateway, 'private/demo:1', { as: BOB })).status).toBe(404)
})
