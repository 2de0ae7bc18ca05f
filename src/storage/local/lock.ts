import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, unlinkSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { OperatorError } from '../../util/operator-error.ts'

/**
 * The lock of a data directory, which one server uses at a time. Each server listens on a socket of its own in
 * `.lock/`, named after its pid, and then connects to the others: a socket that accepts belongs to a living process,
 * any other is a leftover. So the lock ends with its process, even a killed one, and a reused pid does no harm. Since
 * each server listens before it connects, of two that start together at least one detects the other.
 */
export interface DatadirLock {
  release(): void
}

/** How often a server tries again, after a random delay, if another one starts at the same moment. */
const ATTEMPTS = 4

/** Locks a data directory. Throws OperatorError with the pid of the holder. */
export async function lockDatadir(folder: string): Promise<DatadirLock> {
  mkdirSync(folder, { recursive: true })
  for (let attempt = 1; ; attempt++) {
    const own = `${process.pid}-${randomBytes(3).toString('hex')}`
    const server = await listen(folder, own)
    const holder = await findLivingHolder(folder, own)
    if (holder === undefined) {
      return {
        release: () => {
          server.close()
          rmSync(join(folder, own), { force: true })
        },
      }
    }
    server.close()
    rmSync(join(folder, own), { force: true })
    if (attempt === ATTEMPTS) {
      throw new OperatorError(
        `the data directory ${join(folder, '..')} is in use by another imgapi, process ${holder}: stop that one first`,
      )
    }
    await sleep(20 + Math.random() * 80)
  }
}

/** Returns whether a living process holds the lock. */
export const isLocked = async (folder: string): Promise<boolean> =>
  existsSync(folder) && (await findLivingHolder(folder, '')) !== undefined

/**
 * Runs `use` with a short path to the folder: the path of a socket is limited to about a hundred characters, and that
 * of a data directory may be longer.
 */
async function withShortPath<T>(folder: string, use: (short: string) => Promise<T>): Promise<T> {
  if (Buffer.byteLength(folder) < 70) return use(folder)
  const link = join(tmpdir(), `imgapi-${randomBytes(6).toString('hex')}`)
  symlinkSync(folder, link)
  try {
    return await use(link)
  } finally {
    unlinkSync(link)
  }
}

function listen(folder: string, name: string) {
  return withShortPath(
    folder,
    short =>
      new Promise<ReturnType<typeof createServer>>((resolve, reject) => {
        const server = createServer(socket => socket.destroy())
        server.on('error', reject)
        server.listen(join(short, name), () => resolve(server.unref()))
      }),
  )
}

async function findLivingHolder(folder: string, own: string): Promise<string | undefined> {
  for (const name of readdirSync(folder)) {
    if (name === own || !/^\d+-[0-9a-f]{6}$/.test(name)) continue
    if (await withShortPath(folder, short => isAlive(join(short, name)))) return name.split('-')[0]
    rmSync(join(folder, name), { force: true })
  }
  return undefined
}

/** Errors that prove that no process listens on the socket. */
const NOT_LISTENING = ['ECONNREFUSED', 'ENOENT', 'ENOTSOCK', 'EPROTOTYPE']

function isAlive(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(path)
    socket.on('connect', () => {
      socket.destroy()
      resolve(true)
    })
    // Any other error may come from a living process: EAGAIN if it is busy, EACCES if it is another user's.
    socket.on('error', ({ code = '' }: NodeJS.ErrnoException) => resolve(!NOT_LISTENING.includes(code)))
  })
}
