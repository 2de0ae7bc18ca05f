import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { type Answer, call, sha1 } from '../support/api.ts'
import { namesIn } from '../support/folders.ts'
import { runProgram } from '../support/program.ts'
import { AUTH, startServer, type TestServer } from '../support/server.ts'
import { until } from '../support/until.ts'
import { startOperations } from './made-images.ts'
import { type Change, CONFIG, type Operation } from './operations.ts'
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

const { write, sync, rename, open, link, mkdir, unlink, resize, read } = KINDS
const ALL = write | sync | rename | open | link | mkdir | unlink | resize

/** Every call of a change fails in each of these ways, one at a time. */
const EACH_WAY: typeof USUAL_WAYS = [
  ['EIO', { kinds: ALL, errno: EIO }],
  ['ENOSPC', { kinds: ALL, errno: ENOSPC }],
  ['EMFILE', { kinds: open, errno: EMFILE }],
  // It has happened, and the caller does not learn it. (A file that is opened so would be open for ever.)
  ['EIO-late', { kinds: ALL & ~open, errno: EIO, after: true }],
  ['EIO-from', { kinds: ALL | read, errno: EIO, repeats: true }],
]

/** Every call of a change fails as such calls do as a rule. */
const USUAL_WAYS: [name: string, fault: Fault, every?: number][] = [
  ['EIO', { kinds: sync | rename | unlink, errno: EIO }],
  ['ENOSPC', { kinds: write | link | mkdir | resize, errno: ENOSPC }],
  ['EMFILE', { kinds: open, errno: EMFILE }],
  ['EIO-late', { kinds: sync | rename | link | mkdir | unlink, errno: EIO, after: true }, 2],
  // So do all calls that follow, until the answer is there.
  ['EIO-from', { kinds: ALL | read, errno: EIO, repeats: true }, 4],
]

/** `FAULT_SWEEP=full` takes several times as long. */
const isFull = process.env.FAULT_SWEEP === 'full'
const waysFor = ({ isAlike = false }: Operation) =>
  isFull ? EACH_WAY : USUAL_WAYS.filter(([, { after, repeats }]) => !isAlike || !(after || repeats))

interface Trial {
  label: string
  change: Change
  answer: Answer
}

/** As many trials as the change has calls that can fail so, each on an image of its own. */
async function tryAll(server: TestServer, shim: Shim, operation: Operation): Promise<Trial[]> {
  const { name, prepare } = operation
  const trials: Trial[] = []
  for (const [way, fault, every = 1] of waysFor(operation)) {
    const healthy = await prepare(server, `${name}-${way}-0`)
    shim.arm(fault, 0)
    expect((await healthy.run()).status, name).toBeLessThan(300)
    const { seen } = shim.state()
    shim.disarm()
    if (fault.kinds & sync) expect(seen, `calls of ${name}`).toBeGreaterThan(0)
    const numbers = Array.from({ length: seen }, (_, index) => index + 1).filter(nth => nth % every === 0)
    const changes = await Promise.all(numbers.map(nth => prepare(server, `${name}-${way}-${nth}`)))
    for (const [index, change] of changes.entries()) {
      shim.arm(fault, numbers[index]!)
      const answer = await change.run()
      const { hits, what } = shim.state()
      shim.disarm()
      const label = `${name}: ${way} at call ${numbers[index]}, ${what}: ${answer.status} ${answer.text}`
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

type Listed = { uuid: string; name: string; icon?: boolean; files: { sha1: string }[] }[]

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
  await Promise.all(
    images.map(async ({ uuid, icon, files }) => {
      if (files[0]) expect(await read(`${uuid}/file`)).toBe(files[0].sha1)
      if (icon) await read(`${uuid}/icon`)
    }),
  )
}

/** What a job could not write or remove is done some seconds later. */
async function untilSettled(server: TestServer) {
  const folder = join(server.datadir, '.jobs')
  const waiting = () =>
    namesIn(folder)
      .filter(name => name.endsWith('.json'))
      .map(name => readFileSync(join(folder, name), 'utf8'))
      .filter(text => {
        const { state, partials } = JSON.parse(text)
        return ['queued', 'running'].includes(state) || (state !== 'failed' && partials.length > 0)
      })
  await until('the records of jobs', () => waiting().length === 0).catch(error => {
    throw new Error(`${error.message}: ${waiting()}`)
  })
}

/** A server started on what is on the disk now shows what the running one shows. */
async function expectSameAfterRestart(server: TestServer) {
  const copy = join(quickFolder(), 'copy')
  // Links are enough: what is stored is never changed in place.
  execFileSync('cp', ['-al', server.folder, copy])
  rmSync(join(copy, 'data', '.lock'), { recursive: true })
  const restarted = await startServer({ folder: copy, config: CONFIG, keep: true })
  try {
    const [live, fresh] = [await list(server), await list(restarted)]
    const names = ({ uuid, name }: Listed[number]) => `${uuid} ${name}`
    expect(fresh.map(names)).toEqual(live.map(names))
    expect(fresh).toEqual(live)
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
    const trials: Trial[] = []
    for (const operation of await startOperations()) trials.push(...(await tryAll(server, shim, operation)))
    await untilSettled(server)
    await expectSameAfterRestart(server)
    await readAll(server, await list(server))

    const failed = trials.filter(({ answer }) => answer.status >= 300)
    for (const { label, change } of failed) {
      const again = await change.run()
      const isRight = again.status < 300 || change.repeated.includes(again.body.code)
      expect(isRight, `${label}; then ${again.status} ${again.text}`).toBe(true)
      expect(await change.isDone(), `${label}; then ${again.status} ${again.text}`).toBe(true)
    }
    await untilSettled(server)
    await expectSameAfterRestart(server)

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
