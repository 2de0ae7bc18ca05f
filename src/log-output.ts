import { writeSync } from 'node:fs'

/** Lines wait no longer than this, in milliseconds, for others to be written with. */
const INTERVAL = 20
const BATCH = 8 * 1024

/** Characters of lines to hold back while nothing can be written. */
const MOST_HELD = 1024 * 1024

/** Milliseconds for which the last lines wait for a slow reader when the process ends. */
const PATIENCE = 1000

export interface LogOutputOptions {
  /** Where the lines go: a file, a terminal, or a pipe or socket that does not block. */
  fd: number
  /** Called when lines can be written again, with how many could not be held back, and why. */
  onRecovery(lost: number, reason: string): void
}

/**
 * Writes log lines, and costs lines where that fails, but never the process: on a full disk, with a closed pipe, or
 * with a reader that is too slow. Lines are then held back up to a limit, those beyond it are dropped and counted,
 * and the rest is tried again.
 */
export class LogOutput {
  readonly #options: LogOutputOptions
  /** One text, since a system call for every line costs as much as answering the request that it tells of. */
  #lines = ''
  /** What was tried and has not been taken. */
  #rest: Buffer = Buffer.alloc(0)
  #failure: NodeJS.ErrnoException | undefined
  #lostNow = 0
  #lost = 0

  constructor(options: LogOutputOptions) {
    this.#options = options
    setInterval(() => this.#flush(), INTERVAL).unref()
    process.on('exit', () => this.#finish())
  }

  /** How many lines were dropped since the start. */
  get lost(): number {
    return this.#lost
  }

  /** Takes one line, with its end. */
  write(line: string) {
    if (this.#failure && (this.#lostNow > 0 || this.#lines.length + line.length > MOST_HELD)) {
      // From the first one on, so that all that is missing is missing in one place.
      this.#lostNow++
      this.#lost++
      return
    }
    this.#lines += line
    if (this.#lines.length >= BATCH && !this.#failure) this.#flush()
  }

  #flush() {
    const last = this.#failure
    try {
      while (this.#rest.length > 0 || this.#lines !== '') {
        if (this.#rest.length === 0) {
          this.#rest = Buffer.from(this.#lines)
          this.#lines = ''
        }
        this.#rest = this.#rest.subarray(writeSync(this.#options.fd, this.#rest))
      }
      this.#failure = undefined
    } catch (error) {
      this.#failure = error as NodeJS.ErrnoException
    }
    if (this.#failure || this.#lostNow === 0) return
    const lost = this.#lostNow
    this.#lostNow = 0
    this.#options.onRecovery(lost, last ? reasonOf(last) : '')
  }

  #finish() {
    const deadline = Date.now() + PATIENCE
    do this.#flush()
    while (this.#failure?.code === 'EAGAIN' && Date.now() < deadline && pause(INTERVAL))
    // What was said about lost lines.
    if (!this.#failure) this.#flush()
  }
}

const reasonOf = ({ code, message }: NodeJS.ErrnoException) =>
  code === 'EAGAIN'
    ? 'what reads the log was too slow'
    : code === 'ENOSPC'
      ? 'the disk was full'
      : code === 'EPIPE'
        ? 'nothing was reading the log'
        : message

/** Blocks, as the process is ending. Always true. */
function pause(milliseconds: number): true {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds)
  return true
}
