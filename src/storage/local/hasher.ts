import { Worker } from 'node:worker_threads'
import { type HashReply, type HashRequest, hashWorker } from './hash-worker.ts'

export type Algorithm = 'sha1' | 'md5'

/** Hashes a file that is still growing. */
export interface Follower {
  /** The file is written up to here. */
  advance(end: number): void
  /** The digests of everything up to the last `advance`, lower-case hex, in the order asked for. */
  finish(): Promise<string[]>
  /** Resolves when the descriptor is no longer read. */
  cancel(): Promise<void>
}

const ended = () => new Error('the hashing thread has ended')

/** A thread that hashes, started at once so that the first upload need not wait for it. */
export class Hasher {
  readonly #worker: Worker
  readonly #waiting = new Map<number, { resolve(digests: string[]): void; reject(error: Error): void }>()
  #lastId = 0
  #ended = false

  constructor() {
    this.#worker = new Worker(`(${hashWorker})()`, { eval: true })
    this.#worker.unref()
    this.#worker.on('message', ({ id, digests, error }: HashReply) => {
      const waiter = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (error) waiter?.reject(Object.assign(new Error(error.message), error))
      else waiter?.resolve(digests ?? [])
      if (this.#waiting.size === 0) this.#worker.unref()
    })
    this.#worker.on('error', error => this.#end(error as Error))
    this.#worker.on('exit', () => this.#end(ended()))
  }

  follow(fd: number, algorithms: Algorithm[]): Follower {
    const id = ++this.#lastId
    this.#send({ op: 'open', id, fd, algorithms })
    return {
      advance: end => this.#send({ op: 'advance', id, end }),
      finish: () => this.#ask({ op: 'finish', id }),
      cancel: () =>
        this.#ask({ op: 'cancel', id }).then(
          () => {},
          () => {},
        ),
    }
  }

  close(): Promise<unknown> {
    return this.#worker.terminate()
  }

  #end(reason: Error) {
    this.#ended = true
    for (const { reject } of this.#waiting.values()) reject(reason)
    this.#waiting.clear()
  }

  #send(request: HashRequest) {
    this.#worker.postMessage(request)
  }

  #ask(request: HashRequest): Promise<string[]> {
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(ended())
      this.#waiting.set(request.id, { resolve, reject })
      this.#worker.ref()
      this.#send(request)
    })
  }
}
