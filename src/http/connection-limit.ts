import type { Socket } from 'node:net'

/** Descriptors for files and folders that a request may have open besides its connection. */
const PER_REQUEST = 4

/** The time between two warnings of a kind, in milliseconds. */
const QUIET = 60_000

/**
 * Limits the connections of all listeners and the requests on them, so that storage always has enough descriptors. A
 * connection beyond the limit is accepted, and the one that has been idle for the longest time is closed: first of the
 * connections that have not sent a complete request header yet, then of those between two requests. One of them always
 * exists, because the limit of connections is twice that of requests.
 */
export class ConnectionLimit {
  readonly connections: number
  readonly requests: number
  readonly #warn: (message: string) => void
  /** Connections without a complete request header yet, and those between two requests; the longest idle first. */
  readonly #fresh = new Set<Socket>()
  readonly #waiting = new Set<Socket>()
  readonly #busy = new Set<Socket>()
  readonly #warned = new Map<string, number>()

  /** `descriptors`: the most that all connections and requests may have open. `warn`: called at most once a minute. */
  constructor(descriptors: number, warn: (message: string) => void) {
    this.requests = Math.max(2, Math.floor(descriptors / (PER_REQUEST + 2)))
    this.connections = 2 * this.requests
    this.#warn = warn
  }

  /** Adds a new connection, and closes an idle one if the limit is reached. */
  open(socket: Socket) {
    if (this.#fresh.size + this.#waiting.size + this.#busy.size >= this.connections) this.#makeRoom()
    this.#fresh.add(socket)
    socket.once('close', () => this.#remove(socket))
  }

  /** Starts a request whose header is complete. Returns false, without starting it, if the limit is reached. */
  begin(socket: Socket): boolean {
    if (this.#busy.has(socket)) return true
    if (this.#busy.size >= this.requests) {
      this.#warnOnce(`${this.requests} requests are being answered, the most at once: others get status 503`)
      return false
    }
    if (this.#fresh.delete(socket) || this.#waiting.delete(socket)) this.#busy.add(socket)
    return true
  }

  /** Ends the last request of a connection. */
  end(socket: Socket) {
    if (this.#busy.delete(socket)) this.#waiting.add(socket)
  }

  /** Returns whether a request on the connection is being answered. */
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
      // Remove it now: its `close` event may come after other connections are opened.
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
