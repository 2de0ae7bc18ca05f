import { Readable } from 'node:stream'
import { type SourceAnswer, SourceError } from '../../sources/http-client.ts'
import type { Getter } from '../../sources/resumable.ts'
import { type Part, type PartStream, partsOf } from './multipart.ts'

/** Names of the parts; the root file system of a virtual machine is the image of a disk. */
const PARTS = [['metadata'], ['rootfs', 'rootfs.img']]

/**
 * An export that is a form: each part as a file of its own. Parts that follow each other are read from one answer.
 * For a part that was begun and broke off there is another answer, which is read up to that part.
 */
export class ExportForm {
  readonly #ask: () => Promise<SourceAnswer>
  #parts: PartStream | undefined
  /** Index of the part that comes next. */
  #next = 0
  /** The part before that, if nothing of it has been read. */
  #unread: Part | undefined

  /** `begun`: an answer that nothing has been read of. `ask`: gets another one. */
  constructor(begun: SourceAnswer, ask: () => Promise<SourceAnswer>) {
    this.#ask = ask
    this.#read(begun)
  }

  static readonly indexes = [...PARTS.keys()]

  /** The part, with nothing of it read. Throws SourceError. */
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

  /** Answers with a part as if it were a file. What ends that is no reason to end the answer, which has the next one. */
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
