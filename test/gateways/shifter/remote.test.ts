import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { needsAll } from '../../support/programs.ts'
import { temporaryFolder } from '../../support/server.ts'
import {
  ask,
  importFile,
  lookup,
  ROOT,
  readMeta,
  SYSTEM,
  squashfs,
  startShifter,
} from '../../support/shifter.ts'
import { remotePlatform, type Sshd, startSshd } from '../../support/sshd.ts'
import { until } from '../../support/until.ts'

/** A system behind a real sshd: ssh and scp do the work. */

const test = needsAll({
  sshd: 'openssh-server',
  ssh: 'openssh-client',
  mksquashfs: 'squashfs-tools',
})

/** A system in a folder whose name a shell must not take apart. */
const strangePlatform = (sshd: Sshd) => remotePlatform(sshd, join(temporaryFolder(), "it's an $(image) dir"))

test('a file of another system becomes an image there, and goes again', async () => {
  const platform = strangePlatform(await startSshd())
  const gateway = await startShifter({ imagemanager: { Platforms: { [SYSTEM]: platform } } })
  const { imageDir } = platform.ssh
  const path = await squashfs()
  const image = await importFile(gateway, 'tool:1', path, { body: { allowed_uids: '7' } })
  expect(image).toMatchObject({ status: 'READY', userACL: [7, 5001] })
  expect(readdirSync(imageDir).sort()).toEqual([`${image.id}.meta`, `${image.id}.squashfs`])
  expect(readMeta(join(imageDir, `${image.id}.meta`))).toMatchObject({ USERACL: '7,5001' })
  for (const name of readdirSync(imageDir)) expect(statSync(join(imageDir, name)).mode & 0o777).toBe(0o600)
  expect(statSync(join(imageDir, `${image.id}.squashfs`)).size).toBe(statSync(path).size)

  await ask(gateway, 'GET', `/api/expire/${SYSTEM}/custom/tool:1`, { as: ROOT })
  await until('the files are gone', () => readdirSync(imageDir).length === 0)
})

test('a system that cannot be reached is the reason of the failure', async () => {
  const sshd = await startSshd()
  const platform = strangePlatform(sshd)
  platform.ssh.key = join(temporaryFolder(), 'no key')
  const gateway = await startShifter({
    imagemanager: { Platforms: { [SYSTEM]: platform } },
    settings: { retryAfter: 300 },
  })
  const path = await squashfs()
  await importFile(gateway, 'tool:1', path)
  expect((await lookup(gateway, 'tool:1', { type: 'custom' })).status).toBe(404)
  const body = { filepath: path, format: 'squashfs' }
  const { body: record } = await ask(gateway, 'POST', `/api/doimport/${SYSTEM}/custom/tool:1`, { body })
  expect(record.status).toBe('FAILURE')
  expect(record.status_message).toContain('Permission denied')
})
