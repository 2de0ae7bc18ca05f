import { writeSync } from 'node:fs'

/** The longest time, in milliseconds, that a line waits to be written together with others. */
const INTERVAL = 20
const BATCH = 8 * 1024

/** Characters of lines that are buffered while nothing can be written. */
const MOST_HELD = 1024 * 1024

/** Milliseconds that the exit of the process waits for a slow reader of the last lines. */
const PATIENCE = 1000

export interface LogOutputOptions {
  /** Where the lines go: a file, a terminal, or a pipe or socket that does not block. */
  fd: number
  /** Called when lines can be written again after some were dropped, with their number and the reason. */
  onRecovery(lost: number, reason: string): void
}

/**
 * Writes log lines. A full disk, a closed pipe or a slow reader may lose lines, but never stops the process: lines are
 * buffered up to a limit and retried, and lines beyond the limit are dropped and counted.
 */
export class LogOutput {
  readonly #options: LogOutputOptions
  /** Lines not yet written, joined, since a system call per line costs as much as answering a request. */
  #lines = ''
  /** The unwritten rest of the last write. */
  #rest: Buffer = Buffer.alloc(0)
  #failure: NodeJS.ErrnoException | undefined
  #lostNow = 0
  #lost = 0

  constructor(options: LogOutputOptions) {
    this.#options = options
    setInterval(() => this.#flush(), INTERVAL).unref()
    process.on('exit', () => this.#finish())
  }

  /** The number of lines dropped since the start. */
  get lost(): number {
    return this.#lost
  }

  /** Writes one line, which must end with a newline. */
  write(line: string) {
    if (this.#failure && (this.#lostNow > 0 || this.#lines.length + line.length > MOST_HELD)) {
      // Drop every line after the first dropped one, so that the log has a single gap.
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
    // Write the line that `onRecovery` may have logged.
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

/** Blocks the process, which is ending. Always returns true. */
function pause(milliseconds: number): true {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds)
  return true
}
