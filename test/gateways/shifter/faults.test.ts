import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { createShim, EIO, KINDS, quickFolder } from '../../faults/shim.ts'
import { textsIn } from '../../support/folders.ts'
import { needsAll } from '../../support/programs.ts'
import { temporaryFolder } from '../../support/server.ts'
import {
  ask,
  lookup,
  pathOf,
  ROOT,
  type ShifterServer,
  SYSTEM,
  squashfs,
  startShifter,
} from '../../support/shifter.ts'
import { until } from '../../support/until.ts'

const test = needsAll({ gcc: 'gcc', mksquashfs: 'squashfs-tools' })

const readyIn = async (gateway: ShifterServer) => {
  const { body } = await ask(gateway, 'GET', `/api/list/${SYSTEM}/`, { as: ROOT })
  return body.list.map(({ ENV: _, ...image }: { ENV: unknown; tag: string[] }) => image.tag.join()).sort()
}

const isBusy = async (gateway: ShifterServer) => {
  const { body } = await ask(gateway, 'GET', `/api/queue/${SYSTEM}/`, { as: ROOT })
  return body.list.some(({ status }: { status: string }) => status !== 'FAILURE')
}

/** What a failed import leaves is removed behind it. */
const isQuiet = (records: string) => textsIn(records).every(text => !text.includes('"EXPIRING"'))

test('whichever write of a record fails, the gateway shows what a restart finds', async () => {
  const folder = quickFolder()
  const records = join(folder, 'data/.shifter/records')
  mkdirSync(records, { recursive: true })
  const shim = createShim(records)
  const imageDir = join(temporaryFolder(), 'images')
  const gateway = await startShifter({ folder, imageDir, env: shim.env })
  const refused: string[] = []
  for (let nth = 1, hits = 1; hits > 0; nth++) {
    const tag = `image${nth}`
    const filepath = await squashfs(tag)
    shim.arm({ kinds: KINDS.sync | KINDS.rename | KINDS.write | KINDS.open | KINDS.unlink, errno: EIO }, nth)
    const path = pathOf('doimport', SYSTEM, tag, 'custom')
    const { status } = await ask(gateway, 'POST', path, { as: ROOT, body: { filepath, format: 'squashfs' } })
    if (status !== 200) refused.push(tag)
    await until('the import is over', async () => !(await isBusy(gateway)) && isQuiet(records))
    hits = shim.state().hits
    shim.disarm()
    if (hits === 0) expect((await lookup(gateway, tag, { as: ROOT, type: 'custom' })).status).toBe(200)
  }
  const before = await readyIn(gateway)
  expect(before.length).toBeGreaterThan(1)
  await gateway.server.kill()
  const again = await startShifter({ folder, imageDir })
  await until('nothing is under way', async () => !(await isBusy(again)))
  // What was refused may be taken up again, as it is on record.
  const isKnown = (tag: string) => !refused.some(name => tag.startsWith(name))
  expect((await readyIn(again)).filter(isKnown)).toEqual(before.filter(isKnown))
})
