import { connect, type Socket } from 'node:net'
import { PATIENCE } from './patience.ts'

/** A connection on which a test says, byte for byte, what it wants to say, and hears all that comes back. */
export class RawConnection {
  readonly #socket: Socket
  #received = Buffer.alloc(0)
  #isClosed = false
  readonly #waiting = new Set<() => void>()

  constructor(port: number) {
    this.#socket = connect(port, '127.0.0.1')
    this.#socket.on('data', chunk => {
      this.#received = Buffer.concat([this.#received, chunk])
      this.#wake()
    })
    this.#socket.on('close', () => {
      this.#isClosed = true
      this.#wake()
    })
    // A server that hangs up on us is what some tests are about.
    this.#socket.on('error', () => {})
  }

  /** Lines become CRLF-terminated, and an empty one ends them. */
  sendHead(...lines: string[]) {
    this.#socket.write(`${lines.join('\r\n')}\r\n\r\n`)
  }

  sendBody(bytes: string | Uint8Array) {
    this.#socket.write(bytes)
  }

  get received(): string {
    return this.#received.toString('latin1')
  }

  /** Resolves to all that came, when the pattern is in it; rejects if the connection ends before. */
  async until(pattern: RegExp, milliseconds = PATIENCE): Promise<string> {
    await this.#waitFor(() => pattern.test(this.received), milliseconds, String(pattern))
    return this.received
  }

  /** Resolves to all that came, when the server has closed the connection. */
  async closed(milliseconds = PATIENCE): Promise<string> {
    await this.#waitFor(() => this.#isClosed, milliseconds, 'the end')
    return this.received
  }

  end() {
    this.#socket.destroy()
  }

  #wake() {
    for (const check of this.#waiting) check()
  }

  #waitFor(isDone: () => boolean, milliseconds: number, what: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (error?: Error) => {
        clearTimeout(timer)
        this.#waiting.delete(check)
        if (error) reject(error)
        else resolve()
      }
      const failed = (why: string) => new Error(`${why} while waiting for ${what}, after: ${this.received}`)
      const check = () => {
        if (isDone()) settle()
        else if (this.#isClosed) settle(failed('the connection was closed'))
      }
      const timer = setTimeout(() => settle(failed('nothing came')), milliseconds)
      this.#waiting.add(check)
      check()
    })
  }
}
