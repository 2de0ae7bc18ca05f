import { Worker } from 'node:worker_threads'
import { type HashReply, type HashRequest, hashWorker } from './hash-worker.ts'

export type Algorithm = 'sha1' | 'md5'

/** Hashes a file while it is being written. */
export interface Follower {
  /** Reports that the file has been written up to `end`. */
  advance(end: number): void
  /** Returns the digests up to the last `advance`, in lower-case hex, in the order of the algorithms. */
  finish(): Promise<string[]>
  /** Stops hashing. Resolves when the thread no longer reads the descriptor. */
  cancel(): Promise<void>
}

const ended = () => new Error('the hashing thread has ended')

/** Hashes files in a thread. It starts with the object, so that the first upload does not wait for it. */
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

  /** Begins to hash a file. `fd` must stay open until `finish` or `cancel` resolves. */
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
