import { cpSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { namesIn } from '../../support/folders.ts'
import { needsAll } from '../../support/programs.ts'
import { temporaryFolder } from '../../support/server.ts'
import {
  ALICE,
  ask,
  BOB,
  lookup,
  pathOf,
  type ShifterServer,
  SYSTEM,
  squashfs,
  startShifter,
  type User,
} from '../../support/shifter.ts'
import { remotePlatform, startSshd } from '../../support/sshd.ts'
import { until } from '../../support/until.ts'

/** `doimport` is asked for again and again until it is done, as a pull is. */

const test = needsAll({ mksquashfs: 'squashfs-tools', sshd: 'openssh-server', ssh: 'openssh-client' })

const post = async (
  gateway: ShifterServer,
  tag: string,
  filepath: string,
  { as = ALICE, ...extra }: { as?: User; [key: string]: unknown } = {},
) => {
  const body = { filepath, format: 'squashfs', ...extra }
  const answer = await ask(gateway, 'POST', pathOf('doimport', SYSTEM, tag, 'custom'), { as, body })
  expect(answer.status, answer.text).toBe(200)
  return answer.body
}

/** The same request until it is READY. */
async function imported(
  gateway: ShifterServer,
  tag: string,
  filepath: string,
  extra: Record<string, unknown> = {},
) {
  let record = await post(gateway, tag, filepath, extra)
  await until(`${tag} is READY`, async () => {
    record = await post(gateway, tag, filepath, extra)
    expect(record.status).not.toBe('FAILURE')
    return record.status === 'READY'
  })
  return record
}

async function startLocal() {
  const gateway = await startShifter()
  return { gateway, imageDir: gateway.imageDir }
}

async function startRemote() {
  const sshd = await startSshd()
  const imageDir = join(temporaryFolder(), 'images')
  const platform = remotePlatform(sshd, imageDir)
  return { gateway: await startShifter({ imagemanager: { Platforms: { [SYSTEM]: platform } } }), imageDir }
}

for (const [name, start] of Object.entries({ local: startLocal, remote: startRemote })) {
  test(`on a ${name} system an import that is done is READY however often it is asked for`, async () => {
    const { gateway, imageDir } = await start()
    const path = await squashfs('first')
    const lists = { allowed_uids: '77' }
    const acl = { userACL: [77, ALICE.uid], groupACL: [] }
    expect(await post(gateway, 'tool:1', path, lists)).toMatchObject({ status: 'INIT', ...acl })
    const done = await imported(gateway, 'tool:1', path, lists)
    expect(done).toMatchObject({ tag: ['tool:1'], ...acl })
    const { ino } = statSync(join(imageDir, `${done.id}.squashfs`))
    for (let poll = 0; poll < 3; poll++) expect(await post(gateway, 'tool:1', path, lists)).toEqual(done)
    expect(statSync(join(imageDir, `${done.id}.squashfs`)).ino).toBe(ino)
    expect((await lookup(gateway, 'tool:1', { as: BOB, type: 'custom' })).status).toBe(404)

    // Another file, at the same place, is another import; and so are other lists.
    cpSync(await squashfs('second'), path)
    const next = await imported(gateway, 'tool:1', path, lists)
    expect(next.id).not.toBe(done.id)
    expect(await imported(gateway, 'tool:1', path)).toMatchObject({
      id: next.id,
      userACL: null,
      groupACL: null,
    })
    // It has been imported, whatever becomes of the file.
    rmSync(path)
    expect((await post(gateway, 'tool:1', path)).status).toBe('READY')
  })
}

test('an import of the same file under another name and type tells nothing of the first', async () => {
  const { gateway, imageDir } = await startLocal()
  const path = await squashfs()
  const { id } = await imported(gateway, 'secret:1', path, { allowed_uids: '77' })
  const theirs = await imported(gateway, 'own:1', path, { as: BOB })
  expect(theirs).toMatchObject({ id, tag: ['own:1'], userACL: null })
  expect((await lookup(gateway, 'secret:1', { as: BOB, type: 'custom' })).status).toBe(404)
  const body = { filepath: path, format: 'squashfs' }
  const local = () => ask(gateway, 'POST', pathOf('doimport', SYSTEM, 'mine:1', 'local'), { as: BOB, body })
  await until('it is there', async () => (await local()).body.status === 'READY')
  expect((await local()).body).toMatchObject({ id, itype: 'local', tag: ['mine:1'] })
  expect(namesIn(imageDir)).toEqual([`${id}.meta`, `${id}.squashfs`])
})

test('of one file there is one format: that of its last import under the name', async () => {
  const { gateway, imageDir } = await startLocal()
  const path = await squashfs()
  const { id } = await imported(gateway, 'tool:1', path, { format: 'xfs' })
  expect(namesIn(imageDir)).toEqual([`${id}.meta`, `${id}.xfs`])
  await post(gateway, 'other:1', path)
  await until('it fails', async () => (await post(gateway, 'other:1', path)).status === 'FAILURE')
  expect((await post(gateway, 'other:1', path)).status_message).toBe(
    'the same file is already stored in format xfs',
  )
  await imported(gateway, 'tool:1', path)
  await until('its files are the new ones', () => {
    return namesIn(imageDir).join() === [`${id}.meta`, `${id}.squashfs`].join()
  })
  expect((await imported(gateway, 'third:1', path)).id).toBe(id)
})
