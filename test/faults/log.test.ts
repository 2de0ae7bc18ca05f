import { spawn } from 'node:child_process'
import {
  closeSync,
  constants,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { addFile, bytes, call, create } from '../support/api.ts'
import { isLinux } from '../support/process.ts'
import { requires } from '../support/programs.ts'
import { run } from '../support/run.ts'
import { type LogEntry, PASSWORD, PROGRAM, temporaryFolder, USER } from '../support/server.ts'
import { canMount, mountDisk, unmount } from '../support/small-disk.ts'
import { freePort } from '../support/sshd.ts'
import { until } from '../support/until.ts'

/** A log that cannot be written costs lines, and nothing else. */

interface Logging {
  stdout?: number | 'pipe' | undefined
  stderr?: number | 'pipe' | undefined
  datadir?: string
}

/** A server whose output goes to these files. It is there when it answers, for its log may not be. */
async function start({ stdout = 'pipe', stderr = 'pipe', datadir = 'data' }: Logging) {
  const folder = temporaryFolder()
  const port = await freePort()
  const configPath = join(folder, 'config.json')
  const userdb = [{ name: USER, password: PASSWORD }]
  writeFileSync(configPath, JSON.stringify({ datadir, port, host: '127.0.0.1', userdb }))
  const child = spawn(process.execPath, [PROGRAM, '-s', '-c', configPath], {
    stdio: ['ignore', stdout, stderr],
  })
  const exited = new Promise<number | null>(resolve => child.on('exit', resolve))
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await exited
  })
  for (const output of [stdout, stderr]) if (typeof output === 'number') closeSync(output)
  const server = { url: `http://127.0.0.1:${port}`, child, pid: child.pid!, exited }
  await until('an answer', () => isAnswering(server))
  return server
}

type Server = Awaited<ReturnType<typeof start>>

const isAnswering = ({ url }: { url: string }) =>
  fetch(`${url}/ping`).then(
    ({ ok }) => ok,
    () => false,
  )

/** Some of everything that is logged. */
async function work(server: Server) {
  for (let round = 0; round < 5; round++) {
    const { uuid } = await create(server)
    await addFile(server, uuid, bytes(10_000))
    expect((await call(server, 'GET', `/images/${uuid}/file`)).status).toBe(200)
    expect((await call(server, 'GET', '/nothing')).status).toBe(404)
    expect((await call(server, 'DELETE', `/images/${uuid}`)).status).toBe(204)
  }
}

/** Makes so many lines of 8 KB each. */
async function makeLines(server: Server, count: number) {
  const path = `/ping?x=${'x'.repeat(8000)}`
  const one = async () => expect((await call(server, 'GET', path)).status).toBe(200)
  for (let made = 0; made < count; made += 10) await Promise.all(Array.from({ length: 10 }, one))
}

/** How many lines the server itself says it has lost. */
async function lostLines(server: Server): Promise<number> {
  return (await call(server, 'GET', '/state')).body.log.lost
}

async function stop({ child, exited }: Server) {
  child.kill('SIGTERM')
  return exited
}

const parse = (log: string) =>
  log
    .split('\n')
    .slice(0, -1)
    .map(line => JSON.parse(line) as LogEntry)

const requestsIn = (entries: LogEntry[], route: string) =>
  entries.filter(entry => entry.route === route).length

const FULL = '/dev/full'

test.runIf(isLinux).each(['stdout', 'stderr'] as const)(
  'a server whose %s cannot be written works',
  async name => {
    const server = await start({ stdout: openSync('/dev/null', 'w'), [name]: openSync(FULL, 'w') })
    await work(server)
    expect(await lostLines(server)).toBe(0)
    expect(await stop(server)).toBe(0)
  },
)

test.runIf(isLinux)('beyond what is held back lines are lost, and counted', async () => {
  const server = await start({ stdout: openSync(FULL, 'w') })
  await makeLines(server, 200)
  const lost = await lostLines(server)
  expect(lost).toBeGreaterThan(50)
  expect(lost).toBeLessThan(100)
  expect(await stop(server)).toBe(0)
})

test.each(['stdout', 'stderr'] as const)('a server whose %s is closed by its reader works', async name => {
  const server = await start({})
  server.child[name]!.destroy()
  await work(server)
  expect(await stop(server)).toBe(0)
})

async function pipe(folder: string) {
  const path = join(folder, 'pipe')
  await run('mkfifo', [path])
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  return { reader, writer: openSync(path, 'w') }
}

/** Reads from now on, until the other end is closed. */
function readLog(reader: number) {
  const buffer = Buffer.alloc(1024 * 1024)
  const log = { text: '', ended: Promise.resolve() }
  log.ended = until('the end of the log', () => {
    try {
      const size = readSync(reader, buffer)
      log.text += buffer.toString('utf8', 0, size)
      return size === 0
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
      return false
    }
  }).finally(() => closeSync(reader))
  return log
}

test('while the reader of a pipe is slow the server is not: lines are lost instead, and it says how many', async () => {
  const { reader, writer } = await pipe(temporaryFolder())
  const server = await start({ stdout: writer })
  await makeLines(server, 1000)
  const lost = await lostLines(server)
  expect(lost).toBeGreaterThan(800)
  const log = readLog(reader)
  await until('what was lost to be said', () => log.text.includes('were lost'))
  await work(server)
  expect(await stop(server)).toBe(0)
  await log.ended
  const entries = parse(log.text)
  const notices = entries.filter(entry => typeof entry.lost === 'number')
  const told = notices.reduce((sum, entry) => sum + Number(entry.lost), 0)
  expect(notices[0]).toMatchObject({
    level: 50,
    msg: `${notices[0]!.lost} log lines were lost: what reads the log was too slow`,
  })
  expect(requestsIn(entries, 'CreateImage')).toBe(5)
  expect(requestsIn(entries, 'Ping') + told).toBeGreaterThanOrEqual(1000)
})

test('a server whose log is not read at all can be stopped', async () => {
  const { reader, writer } = await pipe(temporaryFolder())
  const server = await start({ stdout: writer })
  await makeLines(server, 50)
  expect(await stop(server)).toBe(0)
  closeSync(reader)
})

test('all lines reach a reader that is slow when the server ends', async () => {
  const { reader, writer } = await pipe(temporaryFolder())
  const server = await start({ stdout: writer })
  await makeLines(server, 50)
  server.child.kill('SIGTERM')
  const log = readLog(reader)
  await log.ended
  const entries = parse(log.text)
  expect(requestsIn(entries, 'Ping')).toBeGreaterThanOrEqual(50)
  expect(entries.at(-1)!.msg).toBe('stopped')
})

requires(canMount(), 'no disk can be mounted: run as root')(
  'with log and data on one full disk uploads are refused, the server goes on, and then says what was lost',
  async () => {
    const disk = join(temporaryFolder(), 'disk')
    mountDisk(disk)
    onTestFinished(() => void unmount(disk))
    const logPath = join(disk, 'log')
    const filler = join(disk, 'filler')
    const server = await start({ stdout: openSync(logPath, 'a'), datadir: join(disk, 'data') })
    const { uuid } = await create(server)
    const fill = () => {
      const { bavail, bsize } = statfsSync(disk)
      writeFileSync(filler, Buffer.alloc(bavail * bsize))
    }
    fill()
    for (let round = 0; round < 5; round++) {
      const answer = await call(server, 'PUT', `/images/${uuid}/file`, { body: bytes(1024 * 1024) })
      expect(answer).toMatchObject({ status: 503, body: { code: 'StorageIsDown' } })
    }
    await makeLines(server, 400)
    const lost = await lostLines(server)
    expect(lost).toBeGreaterThan(200)
    rmSync(filler)
    await until('the log to be written again', () => readFileSync(logPath, 'utf8').includes('were lost'))
    await addFile(server, uuid, bytes(1000))
    const answered = 400 + 5 + 1 + 1
    expect(await stop(server)).toBe(0)
    const entries = parse(readFileSync(logPath, 'utf8'))
    const notices = entries.filter(entry => typeof entry.lost === 'number')
    const told = notices.reduce((sum, entry) => sum + Number(entry.lost), 0)
    expect(told).toBeGreaterThanOrEqual(lost)
    expect(notices[0]!.msg).toBe(`${notices[0]!.lost} log lines were lost: the disk was full`)
    expect(told + entries.filter(entry => entry.route !== undefined).length).toBeGreaterThanOrEqual(answered)
    expect(requestsIn(entries, 'AddImageFile')).toBeGreaterThanOrEqual(6)
  },
)
