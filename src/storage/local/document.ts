import { type Adapter, Low, LowSync, type SyncAdapter } from 'lowdb'
import { invalidData } from '../../images/errors.ts'
import { LARGEST_DOCUMENT, parseJson } from '../../images/json.ts'
import { readRegularNow } from '../../util/regular-file.ts'
import { replaceFile } from './durable.ts'

/** A JSON file as lowdb knows it. */
export type Document = Record<string, unknown>

/**
 * lowdb's own file adapter neither syncs nor uses a unique temporary name, so a crash can leave a torn or an empty
 * file. This one replaces the file atomically and durably. `stage` returns the path of the temporary file.
 */
class DurableFile implements Adapter<Document> {
  readonly #path: string
  readonly #stage: () => string
  readonly #mode: number | undefined
  readonly #largest: number

  constructor(path: string, stage: () => string, mode: number | undefined, largest: number) {
    this.#path = path
    this.#stage = stage
    this.#mode = mode
    this.#largest = largest
  }

  async read(): Promise<never> {
    throw new Error('documents are read through readDocument')
  }

  async write(document: Document) {
    await replaceFile(this.#path, this.#stage(), serialize(document, this.#largest), this.#mode)
  }
}

class FileToRead implements SyncAdapter<Document> {
  readonly #path: string
  readonly #largest: number

  constructor(path: string, largest: number) {
    this.#path = path
    this.#largest = largest
  }

  read() {
    return readFrom(this.#path, this.#largest)
  }

  write(): never {
    throw new Error('documents are written through writeDocument')
  }
}

/** Reads a document that another program may have written. Throws for a link, or if it is out of bounds. */
function readFrom(path: string, largest: number): Document {
  const document = parseJson(readRegularNow(path, largest).toString(), largest)
  if (typeof document !== 'object' || document === null || Array.isArray(document)) {
    throw new SyntaxError('not a JSON object')
  }
  return document as Document
}

/**
 * Renders a document as indented JSON, for human readers and as the predecessor did. Throws ValidationFailed if it has
 * more than `largest` bytes, since it could not be read again.
 */
export function serialize(document: Document, largest = LARGEST_DOCUMENT): string {
  const text = `${JSON.stringify(document, null, 2)}\n`
  const size = Buffer.byteLength(text)
  if (size <= largest) return text
  const message = `too large: the stored document would have ${size} bytes, the limit is ${largest}`
  throw invalidData(message)
}

/**
 * Writes a document durably. `stage`: returns the path of a temporary file. `mode`: the file's permissions. `largest`:
 * the limit in bytes. Throws ValidationFailed if it is larger.
 */
export async function writeDocument(
  path: string,
  stage: () => string,
  document: Document,
  mode?: number,
  largest = LARGEST_DOCUMENT,
) {
  await new Low<Document>(new DurableFile(path, stage, mode, largest), document).write()
}

/**
 * Reads a document synchronously, at start. Throws if it is not a regular file, has more than `largest` bytes, is
 * nested too deep or is not a JSON object.
 */
export function readDocument(path: string, largest = LARGEST_DOCUMENT): Document {
  const low = new LowSync<Document>(new FileToRead(path, largest), {})
  low.read()
  return low.data
}
