import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, unlinkSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * One server owns a data directory. Each server listens on a socket of its own in `.lock/`, named after its
 * pid, and then looks at the others: one that accepts a connection belongs to a living process, one that does
 * not is left over from a dead one. So a killed holder is gone with its process, and a pid that is used again
 * proves nothing. Since everyone listens first and looks second, of two that start together at least one
 * sees the other.
 */
export interface DatadirLock {
  release(): void
}

/** How often two servers that start in the same instant step back before one gives up. */
const ATTEMPTS = 4

/** Resolves to the lock, or throws an error that names the holder's pid. */
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
      throw new Error(
        `the data directory ${join(folder, '..')} is in use by another imgapi, process ${holder}: stop that one first`,
      )
    }
    await sleep(20 + Math.random() * 80)
  }
}

/** Whether a living process holds it. */
export const isLocked = async (folder: string): Promise<boolean> =>
  existsSync(folder) && (await findLivingHolder(folder, '')) !== undefined

/**
 * Runs `use` with a short path to the folder: a socket's path may have some hundred characters at most, and
 * a data directory may be deeper than that.
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

const NOBODY_LISTENS = ['ECONNREFUSED', 'ENOENT', 'ENOTSOCK', 'EPROTOTYPE']

function isAlive(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(path)
    socket.on('connect', () => {
      socket.destroy()
      resolve(true)
    })
    // Anything else may come from a living one: EAGAIN from a busy one, EACCES from another user's.
    socket.on('error', ({ code = '' }: NodeJS.ErrnoException) => resolve(!NOBODY_LISTENS.includes(code)))
  })
}
