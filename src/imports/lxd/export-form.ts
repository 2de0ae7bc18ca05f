import { Readable } from 'node:stream'
import { type SourceAnswer, SourceError } from '../../sources/http-client.ts'
import type { Getter } from '../../sources/resumable.ts'
import { type Part, type PartStream, partsOf } from './multipart.ts'

/** Names of the parts. `rootfs.img` is the disk image of a virtual machine. */
const PARTS = [['metadata'], ['rootfs', 'rootfs.img']]

/**
 * Reads the parts of a multipart export as separate files, from one answer if possible. If a part breaks off, requests
 * another answer and skips the parts before it.
 */
export class ExportForm {
  readonly #ask: () => Promise<SourceAnswer>
  #parts: PartStream | undefined
  /** Index of the next part. */
  #next = 0
  /** The part before that, if its body has not been read. */
  #unread: Part | undefined

  /** `begun`: an answer whose body has not been read. `ask`: requests another one. */
  constructor(begun: SourceAnswer, ask: () => Promise<SourceAnswer>) {
    this.#ask = ask
    this.#read(begun)
  }

  static readonly indexes = [...PARTS.keys()]

  /** Returns a part whose body has not been read. Throws SourceError. */
  async part(index: number): Promise<Part> {
    if (this.#unread && this.#next === index + 1) return this.#unread
    if (!this.#parts || this.#next !== index) {
      this.close()
      this.#read(await this.#ask())
    }
    try {
      while (this.#next < index) for await (const _ of (await this.#take()).body);
      this.#unread = await this.#take()
      return this.#unread
    } catch (error) {
      this.close()
      throw error
    }
  }

  /**
   * Returns a client that answers with the part. Aborting it does not end the answer, which has the next part too.
   */
  getter(index: number): Getter {
    return {
      get: async url => {
        const { body } = await this.part(index)
        this.#unread = undefined
        const dump = async () => void body.destroy()
        return {
          origin: url.origin,
          status: 200,
          headers: {},
          body: Object.assign(body, { dump }),
          bytes: body,
        }
      },
    }
  }

  close() {
    this.#parts?.close()
    this.#parts = undefined
    this.#unread = undefined
  }

  #read({ bytes, headers }: SourceAnswer) {
    const body = Readable.from(bytes, { objectMode: false })
    this.#parts = partsOf(body, String(headers['content-type']), PARTS.length)
    this.#next = 0
  }

  async #take(): Promise<Part> {
    const names = PARTS[this.#next]!
    const part = await this.#parts!.next()
    if (!part || !names.includes(part.name)) {
      throw new SourceError(`the server sends no part "${names[0]}" where LXD has it`)
    }
    this.#next++
    return part
  }
}

export const isForm = ({ headers }: SourceAnswer) => /^multipart\//i.test(String(headers['content-type']))
