import { chmodSync, chownSync, mkdirSync, writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { needsAll } from '../../support/programs.ts'
import { run } from '../../support/run.ts'
import { temporaryFolder } from '../../support/server.ts'
import {
  ALICE,
  ask,
  BOB,
  importFile,
  lookup,
  ROOT,
  readMeta,
  SYSTEM,
  squashfs,
  startShifter,
  type User,
} from '../../support/shifter.ts'

/** Who sees, imports and removes what. */

const test = needsAll({ mksquashfs: 'squashfs-tools' })

const CAROL: User = { name: 'carol', uid: 5003, gid: 6001 }
const NOBODY: User = { name: 'nobody' }

test('a private image is for the users and groups in its lists alone', async () => {
  const gateway = await startShifter()
  const body = { allowed_uids: '1,2', allowed_gids: '' }
  const forUsers = await importFile(gateway, 'users:1', await squashfs('users'), { body })
  expect(forUsers).toMatchObject({ userACL: [1, 2, 5001], groupACL: [] })
  const groups = { allowed_gids: '7000' }
  const forGroups = await importFile(gateway, 'groups:1', await squashfs('groups'), { body: groups })
  expect(forGroups).toMatchObject({ userACL: [], groupACL: [7000, 6001] })

  const sees = async (as: User) => {
    const found = []
    for (const tag of ['users:1', 'groups:1']) {
      const { status } = await lookup(gateway, tag, { as, type: 'custom' })
      if (status === 200) found.push(tag)
    }
    const { body } = await ask(gateway, 'GET', `/api/list/${SYSTEM}/`, { as })
    expect(body.list.flatMap(({ tag }: { tag: string[] }) => tag)).toEqual(found)
    return found
  }
  expect(await sees(ALICE)).toEqual(['users:1', 'groups:1'])
  expect(await sees(BOB)).toEqual([])
  expect(await sees({ name: 'dave', uid: 2, gid: 9 })).toEqual(['users:1'])
  expect(await sees(CAROL)).toEqual(['groups:1'])
  expect(await sees(NOBODY)).toEqual([])

  const meta = (id: string) => readMeta(join(gateway.imageDir, `${id}.meta`))
  expect(meta(forUsers.id)).toMatchObject({ USERACL: '1,2,5001', GROUPACL: '' })
  expect(meta(forGroups.id)).toMatchObject({ USERACL: '', GROUPACL: '7000,6001' })
})

test('supplementary groups of this host count', async () => {
  const gateway = await startShifter()
  // Group 0 has a member on every system: root.
  const image = await importFile(gateway, 'wheel:1', await squashfs(), { body: { allowed_gids: '0' } })
  expect(image.groupACL).toEqual([0, 6001])
  const groups = (await run('id', ['-G', '0'])).stdout.trim().split(' ')
  expect(groups).toContain('0')
  const elsewhere = { name: 'root', uid: 0, gid: 9999 }
  expect((await lookup(gateway, 'wheel:1', { as: elsewhere, type: 'custom' })).status).toBe(200)
  expect((await lookup(gateway, 'wheel:1', { as: BOB, type: 'custom' })).status).toBe(404)
})

test('admins are exact names, and for others the paths of admins say no', async () => {
  const gateway = await startShifter()
  await importFile(gateway, 'tool:1', await squashfs())
  for (const as of [ALICE, { ...ALICE, name: 'roo' }, { ...ALICE, name: 'rooty' }, NOBODY]) {
    const expire = await ask(gateway, 'GET', `/api/expire/${SYSTEM}/custom/tool:1`, { as })
    expect(expire.body).toEqual({ status: false })
    expect((await ask(gateway, 'GET', `/api/autoexpire/${SYSTEM}`, { as })).body).toEqual({ status: false })
    expect((await ask(gateway, 'GET', `/api/metrics/${SYSTEM}`, { as })).body).toEqual([])
  }
  expect((await lookup(gateway, 'tool:1', { type: 'custom' })).status).toBe(200)
  expect((await ask(gateway, 'GET', `/api/metrics/${SYSTEM}`, { as: ROOT })).body.length).toBeGreaterThan(0)
})

test('images are imported by those whom the config names, from files that they may read', async () => {
  const gateway = await startShifter({
    imagemanager: { ImportUsers: ['alice'] },
    settings: { retryAfter: 300 },
  })
  const path = await squashfs()
  const post = (as: User, filepath: string) =>
    ask(gateway, 'POST', `/api/doimport/${SYSTEM}/custom/tool:1`, {
      as,
      body: { filepath, format: 'squashfs' },
    })
  expect((await post(BOB, path)).status).toBe(403)

  const failure = async (filepath: string) => {
    expect((await importFile(gateway, 'tool:1', filepath)).error).toBe('image not found')
    const { body } = await ask(gateway, 'GET', `/api/queue/${SYSTEM}/`)
    expect(body.list).toEqual([{ status: 'FAILURE', image: 'tool:1' }])
    // The same request, a moment later.
    const record = (await post(ALICE, filepath)).body
    expect(record.status).toBe('FAILURE')
    return record.status_message
  }
  const folder = temporaryFolder()
  mkdirSync(join(folder, 'folder'))
  await run('mkfifo', [join(folder, 'pipe')])
  writeFileSync(join(folder, 'secret'), 'x', { mode: 0o600 })
  expect(await failure(join(folder, 'none'))).toBe('cannot open the file: ENOENT')
  expect(await failure(join(folder, 'folder'))).toBe('not a regular file')
  expect(await failure(join(folder, 'pipe'))).toBe('not a regular file')
  expect(await failure(join(folder, 'secret'))).toBe('you may not read the file')

  if (userInfo().uid === 0) {
    chmodSync(path, 0o400)
    chownSync(path, ALICE.uid!, ALICE.gid!)
  }
  expect((await importFile(gateway, 'tool:1', path)).status).toBe('READY')
})

test('without ImportUsers no user can import', async () => {
  const gateway = await startShifter({ imagemanager: { ImportUsers: undefined } })
  const body = { filepath: '/etc/hostname', format: 'squashfs' }
  const answer = await ask(gateway, 'POST', `/api/doimport/${SYSTEM}/custom/tool:1`, { as: ROOT, body })
  expect(answer).toMatchObject({ status: 403, body: { error: 'you may not import images' } })
})
