import { readFileSync } from 'node:fs'
import { type Adapter, Low, LowSync, type SyncAdapter } from 'lowdb'
import { replaceFile } from './durable.ts'

/** A JSON file as lowdb knows it. */
export type Document = Record<string, unknown>

/**
 * lowdb's own file adapter neither syncs nor uses a temporary name of its own, so a crash can leave a torn
 * or an empty file. This one replaces the file whole and durably. `stage` names the temporary file.
 */
class DurableFile implements Adapter<Document> {
  readonly #path: string
  readonly #stage: () => string
  readonly #mode: number | undefined

  constructor(path: string, stage: () => string, mode?: number) {
    this.#path = path
    this.#stage = stage
    this.#mode = mode
  }

  async read() {
    return parse(readFileSync(this.#path, 'utf8'))
  }

  async write(document: Document) {
    await replaceFile(this.#path, this.#stage(), serialize(document), this.#mode)
  }
}

class FileToRead implements SyncAdapter<Document> {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  read() {
    return parse(readFileSync(this.#path, 'utf8'))
  }

  write(): never {
    throw new Error('documents are written durably, through writeDocument')
  }
}

function parse(text: string): Document {
  const document: unknown = JSON.parse(text)
  if (typeof document !== 'object' || document === null || Array.isArray(document)) {
    throw new SyntaxError('not a JSON object')
  }
  return document as Document
}

/** Documents are there for people too: indented, as the predecessor wrote them. */
export const serialize = (document: Document) => `${JSON.stringify(document, null, 2)}\n`

/** `mode`: who may read the file, if not everybody. */
export async function writeDocument(path: string, stage: () => string, document: Document, mode?: number) {
  await new Low<Document>(new DurableFile(path, stage, mode), document).write()
}

/** Reads a document while nothing else runs, at start. Throws for a file that is not a JSON object. */
export function readDocument(path: string): Document {
  const low = new LowSync<Document>(new FileToRead(path), {})
  low.read()
  return low.data
}
