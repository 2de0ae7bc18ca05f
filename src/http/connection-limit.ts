import type { Socket } from 'node:net'

/** Descriptors that a request may need at the same time beside its connection: files and their folders. */
const PER_REQUEST = 4

/** Milliseconds between two warnings of one kind. */
const QUIET = 60_000

/**
 * Bounds the connections of all listeners and the requests on them, so that together they never take the descriptors
 * that storage needs. A connection beyond the limit is accepted and the one that has been idle for the longest time
 * is closed for it: first of those that have sent no complete request yet, then of those between two requests. There
 * always is one, for there may be twice as many connections as requests.
 */
export class ConnectionLimit {
  readonly connections: number
  readonly requests: number
  readonly #warn: (message: string) => void
  /** Those that have sent no complete request yet, and those that wait for the next one; the longest idle first. */
  readonly #fresh = new Set<Socket>()
  readonly #waiting = new Set<Socket>()
  readonly #busy = new Set<Socket>()
  readonly #warned = new Map<string, number>()

  /** `descriptors`: how many all connections and requests may have open. `warn`: called at most once a minute. */
  constructor(descriptors: number, warn: (message: string) => void) {
    this.requests = Math.max(2, Math.floor(descriptors / (PER_REQUEST + 2)))
    this.connections = 2 * this.requests
    this.#warn = warn
  }

  /** Counts in a new connection. */
  open(socket: Socket) {
    if (this.#fresh.size + this.#waiting.size + this.#busy.size >= this.connections) this.#makeRoom()
    this.#fresh.add(socket)
    socket.once('close', () => this.#remove(socket))
  }

  /** A complete request header has come. False if too many requests are being answered. */
  begin(socket: Socket): boolean {
    if (this.#busy.has(socket)) return true
    if (this.#busy.size >= this.requests) {
      this.#warnOnce(`${this.requests} requests are being answered, the most at once: others get status 503`)
      return false
    }
    if (this.#fresh.delete(socket) || this.#waiting.delete(socket)) this.#busy.add(socket)
    return true
  }

  /** The last answer on it is out. */
  end(socket: Socket) {
    if (this.#busy.delete(socket)) this.#waiting.add(socket)
  }

  isBusy(socket: Socket): boolean {
    return this.#busy.has(socket)
  }

  #makeRoom() {
    this.#warnOnce(
      `${this.connections} connections are open, the most at once: idle ones are closed for others`,
    )
    for (const idle of [this.#fresh, this.#waiting]) {
      const [oldest] = idle
      if (!oldest) continue
      // At once: its `close` comes later, after other connections perhaps.
      this.#remove(oldest)
      oldest.destroy()
      return
    }
  }

  #remove(socket: Socket) {
    this.#fresh.delete(socket)
    this.#waiting.delete(socket)
    this.#busy.delete(socket)
  }

  #warnOnce(message: string) {
    const last = this.#warned.get(message)
    if (last !== undefined && performance.now() - last < QUIET) return
    this.#warned.set(message, performance.now())
    this.#warn(message)
  }
}
