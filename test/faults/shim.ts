import { execFileSync } from 'node:child_process'
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readSync,
  realpathSync,
  rmSync,
  statfsSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { needsAll } from '../support/programs.ts'
import { temporaryFolder } from '../support/server.ts'

/** Faults of the disk, made by `shim.c` in the process of a server while it runs. */

/** As `enum kind` in shim.c. */
export const KINDS = {
  write: 1,
  sync: 2,
  rename: 4,
  open: 8,
  link: 16,
  mkdir: 32,
  unlink: 64,
  resize: 128,
  /** Opening a file to read it; folders count with `open`. */
  read: 256,
} as const

export const EIO = 5
export const EMFILE = 24
export const ENOSPC = 28

export interface Fault {
  /** Which calls count, of KINDS. */
  kinds: number
  errno: number
  /** The call fails after it has done its work. */
  after?: boolean
  /** All calls that follow fail too. */
  repeats?: boolean
}

export interface Shim {
  /** For the process of the server. */
  env: Record<string, string>
  /** Fails the nth call from now on; 0 counts only. */
  arm(fault: Fault, nth: number): void
  disarm(): void
  /** How many calls have failed and how many were counted since `arm`, and the last that failed. */
  state(): { hits: number; seen: number; what: string }
}

export const shimTest = needsAll({ gcc: 'gcc', cp: 'coreutils' })

const MEMORY = '/dev/shm'
const ENOUGH = 256 * 1024 * 1024

/** A folder that costs no time to sync, where there is one: thousands of changes are made there. */
export function quickFolder(): string {
  const isThere = existsSync(MEMORY) && statfsSync(MEMORY).bavail * statfsSync(MEMORY).bsize > ENOUGH
  const folder = realpathSync(mkdtempSync(join(isThere ? MEMORY : tmpdir(), 'imgapi-test-')))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

const NUMBERS = 7
const SIZE = 4 * NUMBERS + 100

/** For what is below a folder. `record`: a file for a record of all changes. */
export function createShim(below: string, record?: string): Shim {
  const folder = temporaryFolder()
  const library = join(folder, 'shim.so')
  const source = new URL('shim.c', import.meta.url).pathname
  execFileSync('gcc', [
    '-shared',
    '-fPIC',
    '-O1',
    '-Wall',
    '-Werror',
    '-o',
    library,
    source,
    '-ldl',
    '-lpthread',
  ])
  const control = join(folder, 'control')
  writeFileSync(control, Buffer.alloc(SIZE))
  const fd = openSync(control, 'r+')
  onTestFinished(() => closeSync(fd))
  const set = (...numbers: number[]) => {
    const bytes = Buffer.alloc(4 * NUMBERS)
    for (const [index, number] of numbers.entries()) bytes.writeInt32LE(number, 4 * index)
    writeSync(fd, bytes, 0, bytes.length, 0)
  }
  return {
    env: {
      LD_PRELOAD: library,
      FAULTS_FOLDER: realpathSync(below),
      FAULTS_CONTROL: control,
      ...(record && { FAULTS_RECORD: record }),
      // What it does with files would not pass through the library.
      UV_USE_IO_URING: '0',
    },
    arm: ({ kinds, errno, after = false, repeats = false }, nth) =>
      set(kinds, nth, errno, Number(after), Number(repeats), 0, 0),
    disarm: () => {
      const bytes = Buffer.alloc(4 * 2)
      writeSync(fd, bytes, 0, bytes.length, 0)
    },
    state: () => {
      const bytes = Buffer.alloc(SIZE)
      readSync(fd, bytes, 0, SIZE, 0)
      const text = bytes.toString('latin1', 4 * NUMBERS)
      return {
        hits: bytes.readInt32LE(20),
        seen: bytes.readInt32LE(24),
        what: text.slice(0, text.indexOf('\0')),
      }
    },
  }
}
