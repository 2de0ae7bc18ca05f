import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { type Answer, call, sha1 } from '../support/api.ts'
import { namesIn } from '../support/folders.ts'
import { runProgram } from '../support/program.ts'
import { AUTH, startServer, type TestServer } from '../support/server.ts'
import { until } from '../support/until.ts'
import {
  type Change,
  CONFIG,
  jobOperation,
  OPERATIONS,
  type Operation,
  startImportSource,
} from './operations.ts'
import {
  createShim,
  EIO,
  EMFILE,
  ENOSPC,
  type Fault,
  KINDS,
  quickFolder,
  type Shim,
  shimTest,
} from './shim.ts'

const { write, sync, rename, open, link, mkdir, unlink, resize } = KINDS
const ALL = write | sync | rename | open | link | mkdir | unlink | resize

/** Every call of a change fails in each of these ways, one at a time. */
const EACH_WAY: [name: string, fault: Fault][] = [
  ['EIO', { kinds: ALL, errno: EIO }],
  ['ENOSPC', { kinds: ALL, errno: ENOSPC }],
  ['EMFILE', { kinds: open, errno: EMFILE }],
  // It has happened, and the caller does not learn it. (A file that is opened so would be open for ever.)
  ['EIO-late', { kinds: ALL & ~open, errno: EIO, after: true }],
]

/** Every call of a change fails as such calls do as a rule. */
const USUAL_WAYS: [name: string, fault: Fault][] = [
  ['EIO', { kinds: sync | rename | unlink, errno: EIO }],
  ['ENOSPC', { kinds: write | link | mkdir | resize, errno: ENOSPC }],
  ['EMFILE', { kinds: open, errno: EMFILE }],
  ['EIO-late', { kinds: sync | rename | link | mkdir | unlink, errno: EIO, after: true }],
]

/** `FAULT_SWEEP=full` takes three times as long. */
const FAULTS = process.env.FAULT_SWEEP === 'full' ? EACH_WAY : USUAL_WAYS

interface Trial {
  label: string
  change: Change
  answer: Answer
}

/** As many trials as the change has calls that can fail so, each on an image of its own. */
async function tryAll(server: TestServer, shim: Shim, { prepare, name }: Operation): Promise<Trial[]> {
  const trials: Trial[] = []
  for (const [way, fault] of FAULTS) {
    const healthy = await prepare(server, `${name}-${way}-0`)
    shim.arm(fault, 0)
    expect((await healthy.run()).status, name).toBeLessThan(300)
    const { seen } = shim.state()
    shim.disarm()
    if (fault.kinds & sync) expect(seen, `calls of ${name}`).toBeGreaterThan(0)
    const numbers = Array.from({ length: seen }, (_, index) => index + 1)
    const changes = await Promise.all(numbers.map(nth => prepare(server, `${name}-${way}-${nth}`)))
    for (const [index, change] of changes.entries()) {
      shim.arm(fault, index + 1)
      const answer = await change.run()
      const { hits, what } = shim.state()
      shim.disarm()
      const label = `${name}: ${way} at call ${index + 1}, ${what}: ${answer.status} ${answer.text}`
      if (hits === 0 || answer.status < 300) expect(await change.isDone(), label).toBe(true)
      if (answer.status >= 300) {
        expect(answer, label).toMatchObject({ status: 503, body: { code: 'StorageIsDown' } })
        expect(answer.text, label).not.toContain('in the way')
      }
      trials.push({ label, change, answer })
    }
  }
  return trials
}

type Listed = { uuid: string; icon?: boolean; files: { sha1: string }[] }[]

const list = async (server: TestServer): Promise<Listed> => {
  const headers = { 'accept-version': '*' }
  return (await call(server, 'GET', '/images?state=all&channel=*', { headers })).body
}

const jobsOf = async (server: TestServer) => {
  const { body } = await call(server, 'GET', '/jobs')
  return body.map(({ uuid, state }: { uuid: string; state: string }) => `${uuid} ${state}`).sort()
}

/** Every byte that the list promises is there. */
async function readAll(server: TestServer, images: Listed) {
  const read = async (path: string) => {
    const response = await fetch(`${server.url}/images/${path}?channel=*`, { headers: AUTH })
    expect(response.status, path).toBe(200)
    return sha1(new Uint8Array(await response.arrayBuffer()))
  }
  for (const { uuid, icon, files } of images) {
    if (files[0]) expect(await read(`${uuid}/file`)).toBe(files[0].sha1)
    if (icon) await read(`${uuid}/icon`)
  }
}

/** A record of a job that the disk did not take is written some seconds later. */
const untilRecorded = (server: TestServer) =>
  until('the records of jobs', async () => {
    const folder = join(server.datadir, '.jobs')
    const names = namesIn(folder).filter(name => name.endsWith('.json'))
    const records = names.map(name => JSON.parse(readFileSync(join(folder, name), 'utf8')))
    return records.every(({ state }) => state !== 'queued' && state !== 'running')
  })

/** A server started on what is on the disk now shows what the running one shows. */
async function expectSameAfterRestart(server: TestServer) {
  const copy = join(quickFolder(), 'copy')
  // Links are enough: what is stored is never changed in place.
  execFileSync('cp', ['-al', server.folder, copy])
  rmSync(join(copy, 'data', '.lock'), { recursive: true })
  const restarted = await startServer({ folder: copy, config: CONFIG, keep: true })
  try {
    expect(await list(restarted)).toEqual(await list(server))
    expect(await jobsOf(restarted)).toEqual(await jobsOf(server))
  } finally {
    await restarted.kill()
  }
}

shimTest(
  'whichever call fails, memory equals disk, nothing acknowledged is lost, and asking again converges',
  async () => {
    const folder = quickFolder()
    mkdirSync(join(folder, 'data'))
    const shim = createShim(join(folder, 'data'))
    const server = await startServer({ folder, config: CONFIG, env: shim.env })
    const job = jobOperation(await startImportSource())
    const trials: Trial[] = []
    for (const operation of [job, ...OPERATIONS]) trials.push(...(await tryAll(server, shim, operation)))
    await untilRecorded(server)
    await expectSameAfterRestart(server)
    await readAll(server, await list(server))

    for (const { label, change, answer } of trials) {
      if (answer.status < 300) continue
      const again = await change.run()
      const isRight = again.status < 300 || change.repeated.includes(again.body.code)
      expect(isRight, `${label}; then ${again.status} ${again.text}`).toBe(true)
      expect(await change.isDone(), `${label}; then ${again.status} ${again.text}`).toBe(true)
    }
    await untilRecorded(server)
    await expectSameAfterRestart(server)

    const failed = trials.filter(({ answer }) => answer.status >= 300)
    console.log(`${trials.length} faults, ${failed.length} of them answered with 503`)
    expect(failed.length).toBeGreaterThan(trials.length / 3)
    expect(await server.stop()).toBe(0)
    // It sweeps behind the first answers.
    await startServer({ folder, config: CONFIG })
    const check = async () => (await runProgram('check', '-c', server.configPath)).code === 0
    await until('check finds no problem', check)
  },
  240_000,
)
