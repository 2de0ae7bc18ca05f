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
import { startOperations } from './made-images.ts'
import { CONFIG } from './operations.ts'
import { type Left, RecordedDisk, readRecord } from './recorded-disk.ts'
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
  /** `many`: it makes several changes, between which others may see the image. */
  kind: 'preparation' | 'one' | 'many'
}

async function runSteps(server: TestServer, record: string): Promise<Step[]> {
  const steps: Step[] = []
  let before = await imagesOn(server)
  const step = async <T>(name: string, kind: Step['kind'], run: () => Promise<T>) => {
    const begin = statSync(record).size
    const result = await run()
    const end = statSync(record).size
    const after = await imagesOn(server)
    steps.push({ name, begin, end, before, after, kind })
    before = after
    return result
  }
  for (const { name, prepare } of await startOperations()) {
    const change = await step(`what ${name} needs`, 'preparation', () => prepare(server, name))
    const kind = ['clone', 'docker-import', 'job'].includes(name) ? 'many' : 'one'
    const answer = await step(name, kind, change.run)
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

/** A server that is started there finishes the job, and has everything in the end. */
async function expectServed(folder: string, images: Images, when: string) {
  const server = await startServer({ folder, config: CONFIG, keep: true })
  try {
    const isDone = async () => JSON.stringify(await imagesOn(server)) === JSON.stringify(images)
    await until(`${when}: the job to be finished`, isDone)
    expect(await imagesOn(server), when).toEqual(images)
  } finally {
    await server.kill()
  }
}

/** Everything acknowledged by then is there; what was under way has happened or not. */
function verify(found: Images, { before, after, kind }: Step, isAcknowledged: boolean, when: string) {
  if (isAcknowledged) return expect(found, when).toEqual(after)
  if (kind === 'one') return expect([before, after], when).toContainEqual(found)
  for (const [uuid, image] of Object.entries(before)) {
    if (after[uuid] === image) expect(found[uuid], when).toBe(image)
  }
}

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
    /** Servers are started on some of what is left of the job, which is the last step. */
    const started: [when: string, folder: string][] = []
    let jobSyncs = 0
    const cutNow = async (left: Left, step: Step, isAcknowledged: boolean, when: string) => {
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
      // Preparations are changes that are steps of their own elsewhere.
      if (!step || step.kind === 'preparation' || !isSync) {
        disk.apply(entry)
        continue
      }
      const isAcknowledged = step.end < entry.end
      const when = `${step.name}, entry ${index}`
      // What waits for this sync may have reached the disk in any order.
      for (const folder of disk.unsynced()) {
        await cutNow({ allBut: folder }, step, isAcknowledged, `${when}, before the sync, without one folder`)
      }
      await cutNow(some, step, isAcknowledged, `${when}, before the sync, by chance of seed ${seed}`)
      disk.apply(entry)
      await cutNow('nothing', step, isAcknowledged, `${when}, with nothing that is not synced`)
      await cutNow('everything', step, isAcknowledged, `${when}, with everything`)
      if (step.name === 'job' && ++jobSyncs % 12 === 0) {
        const cut = mkdtempSync(join(cuts, 'server-'))
        disk.write(cut, jobSyncs % 24 === 0 ? 'nothing' : some)
        started.push([when, cut])
      }
    }
    console.log(`${count} power cuts, which left ${found.size} different data directories`)
    expect(found.size).toBeGreaterThan(100)
    expect(started.length).toBeGreaterThan(1)
    for (const [when, folder] of started) await expectServed(folder, steps.at(-1)!.after, when)
    // What is there at the end is there without a sync more.
    const last = mkdtempSync(join(cuts, 'cut-'))
    disk.write(last, 'nothing')
    expect(await load(join(last, 'data'), 'at the end')).toEqual(steps.at(-1)!.after)
  },
  180_000,
)
