import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { expect } from 'vitest'
import type { Image } from '../../src/images/image.ts'
import { imagesOf, type ListQuery } from '../../src/images/listing.ts'
import { openDatadir } from '../../src/storage/local/datadir.ts'
import { findStrayFiles, findStrays } from '../../src/storage/local/inspect.ts'
import { layoutOf } from '../../src/storage/local/layout.ts'
import { call, sha1 } from '../support/api.ts'
import { namesIn } from '../support/folders.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { until } from '../support/until.ts'
import { CONFIG, jobOperation, OPERATIONS, startImportSource } from './operations.ts'
import { type Loss, RecordedDisk, readRecord } from './recorded-disk.ts'
import { createShim, quickFolder, shimTest } from './shim.ts'

/** What is known of images, by UUID. */
type Images = Record<string, string>

const describe = ({ uuid, name, state, description, acl, channels, origin, files, icon }: Image) =>
  [
    uuid,
    JSON.stringify({
      name,
      state,
      description,
      acl,
      channels,
      origin,
      icon: icon !== undefined,
      files: files.map(file => file.sha1),
    }),
  ] as const

async function imagesOn(server: TestServer): Promise<Images> {
  const headers = { 'accept-version': '*' }
  const { body } = await call(server, 'GET', '/images?state=all&channel=*', { headers })
  return Object.fromEntries(body.map(describe))
}

/** A change as its client sees it. */
interface Step {
  name: string
  /** Where the record ended when it was asked for, and when it was acknowledged. */
  begin: number
  end: number
  before: Images
  after: Images
  /** It makes several changes, between which others may see the image. */
  isMany: boolean
}

async function runSteps(server: TestServer, record: string): Promise<Step[]> {
  const steps: Step[] = []
  let before = await imagesOn(server)
  const step = async <T>(name: string, isMany: boolean, run: () => Promise<T>) => {
    const begin = statSync(record).size
    const result = await run()
    const end = statSync(record).size
    const after = await imagesOn(server)
    steps.push({ name, begin, end, before, after, isMany })
    before = after
    return result
  }
  for (const { name, prepare } of [...OPERATIONS, jobOperation(await startImportSource())]) {
    const change = await step(`what ${name} needs`, true, () => prepare(server, name))
    const answer = await step(name, name === 'clone' || name === 'job', change.run)
    expect(answer.status, `${name}: ${answer.text}`).toBeLessThan(300)
  }
  return steps
}

const EVERYTHING: ListQuery = { state: 'all', tags: [], billingTags: [], order: 'asc' }

/** Opens a data directory as a start does. Everything in it is whole, and nothing is left over. */
async function load(root: string, when: string): Promise<Images> {
  const layout = layoutOf(root)
  // What is as young as the server is not swept.
  await pause(2)
  const datadir = await openDatadir(root)
  try {
    expect(datadir.problems, when).toEqual([])
    const images = imagesOf(await datadir.manifests.list(EVERYTHING))
    for (const { uuid, files, icon } of images) {
      for (const file of [...files, ...(icon ? [icon] : [])]) {
        expect(sha1(readFileSync(join(root, uuid, file.name))), `${when}: ${file.name} of ${uuid}`).toBe(
          file.sha1,
        )
      }
    }
    const strays = () => [...findStrays(layout), ...images.flatMap(image => findStrayFiles(layout, image))]
    await until(`${when}: ${JSON.stringify(strays())} to be swept`, () => strays().length === 0, 5000)
    expect(namesIn(layout.tmp), when).toEqual([])
    return Object.fromEntries(images.map(describe))
  } finally {
    await datadir.close()
  }
}

/** Everything acknowledged by then is there; what was under way has happened or not. */
function verify(found: Images, { before, after, isMany }: Step, isAcknowledged: boolean, when: string) {
  if (isAcknowledged) return expect(found, when).toEqual(after)
  if (!isMany) return expect([before, after], when).toContainEqual(found)
  for (const [uuid, image] of Object.entries(before)) {
    if (after[uuid] === image) expect(found[uuid], when).toBe(image)
  }
}

/** Before each sync. */
const DRAWS = 1

function chance(seed: number) {
  let state = seed
  return {
    random: () => {
      state = (state * 1103515245 + 12345) % 2 ** 31
      return state / 2 ** 31
    },
  }
}

shimTest(
  'a power cut at any moment loses nothing that was acknowledged and leaves nothing half made',
  async () => {
    const folder = quickFolder()
    const record = join(quickFolder(), 'record')
    const { env } = createShim(folder, record)
    const server = await startServer({ folder, config: CONFIG, env })
    const steps = await runSteps(server, record)
    await server.kill()

    const seed = Number(process.env.POWER_CUT_SEED ?? 1)
    const some = chance(seed)
    const disk = new RecordedDisk(env.FAULTS_FOLDER!)
    const cuts = quickFolder()
    // Many cuts leave the same.
    const found = new Map<string, Images>()
    let count = 0
    const cutNow = async (left: Loss, step: Step, isAcknowledged: boolean, when: string) => {
      const cut = mkdtempSync(join(cuts, 'cut-'))
      const digest = disk.write(cut, left)
      if (!found.has(digest)) found.set(digest, await load(join(cut, 'data'), when))
      verify(found.get(digest)!, step, isAcknowledged, when)
      rmSync(cut, { recursive: true })
      count++
    }
    for (const [index, entry] of readRecord(record).entries()) {
      const step = steps.findLast(({ begin }) => begin < entry.end)
      const isSync = entry.op === 'sync' || entry.synced
      if (!step || !isSync) {
        disk.apply(entry)
        continue
      }
      const isAcknowledged = step.end < entry.end
      const when = `${step.name}, entry ${index}`
      // Of what waits for this sync any part may have reached the disk, in any order.
      for (let draw = 1; draw <= DRAWS; draw++) {
        await cutNow(some, step, isAcknowledged, `${when}, before the sync, draw ${draw} of seed ${seed}`)
      }
      disk.apply(entry)
      await cutNow('nothing', step, isAcknowledged, `${when}, with nothing that is not synced`)
      await cutNow('everything', step, isAcknowledged, `${when}, with everything`)
    }
    console.log(`${count} power cuts, which left ${found.size} different data directories`)
    expect(found.size).toBeGreaterThan(100)
    // What is there at the end is there without a sync more.
    const last = mkdtempSync(join(cuts, 'cut-'))
    disk.write(last, 'nothing')
    expect(await load(join(last, 'data'), 'at the end')).toEqual(steps.at(-1)!.after)
  },
  240_000,
)
