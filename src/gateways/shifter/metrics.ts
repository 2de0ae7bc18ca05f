import { existsSync } from 'node:fs'
import { appendFile, rm } from 'node:fs/promises'
import { z } from 'zod'
import { replaceFile } from '../../storage/local/durable.ts'
import { KeyedMutex } from '../../util/keyed-mutex.ts'
import { readRegularNow } from '../../util/regular-file.ts'
import type { ImageRequest } from './image-name.ts'
import { now } from './record.ts'
import type { Session } from './session.ts'

/** The log of lookups. The oldest rows are discarded; a crash may lose the last few. */

const MOST_ROWS = 10_000
/** Bytes of a file with twice `MOST_ROWS` rows. */
const LARGEST_FILE = 64 * 1024 * 1024

const Row = z.object({
  user: z.string(),
  uid: z.number().optional(),
  system: z.string(),
  type: z.string(),
  tag: z.string(),
  id: z.string(),
  time: z.number(),
})
export type MetricsRow = z.output<typeof Row>

export class Metrics {
  readonly #path: string
  #rows: MetricsRow[]
  readonly #mutex = new KeyedMutex()
  #written: number

  constructor(path: string) {
    this.#path = path
    const text = existsSync(path) ? readRegularNow(path, LARGEST_FILE).toString() : ''
    this.#rows = text.split('\n').flatMap(parseRow).slice(-MOST_ROWS)
    // The next row rewrites the file, without torn and old rows.
    this.#written = 2 * MOST_ROWS
  }

  /** Appends a row for a lookup. Rejects if the file cannot be written. */
  async add({ user, uid }: Session, { system, type, tag }: ImageRequest, id: string) {
    const row = { user, uid, system, type, tag, id, time: now() }
    this.#rows.push(row)
    if (this.#rows.length >= 2 * MOST_ROWS) this.#rows = this.#rows.slice(-MOST_ROWS)
    await this.#mutex.run('', async () => {
      if (++this.#written >= 2 * MOST_ROWS) await this.#rewrite()
      else await appendFile(this.#path, `${JSON.stringify(row)}\n`, { mode: 0o600 })
    })
  }

  /** Returns the last rows of a system, oldest first. */
  last(system: string, limit: number): MetricsRow[] {
    return limit > 0 ? this.#rows.filter(row => row.system === system).slice(-limit) : []
  }

  async #rewrite() {
    const rows = this.#rows.slice(-MOST_ROWS)
    this.#written = rows.length
    const text = rows.map(row => `${JSON.stringify(row)}\n`).join('')
    const replacement = `${this.#path}.new`
    await rm(replacement, { force: true })
    await replaceFile(this.#path, replacement, text, 0o600)
  }
}

/** Parses a row; none for one that a crash has torn. */
function parseRow(line: string): MetricsRow[] {
  try {
    return [Row.parse(JSON.parse(line))]
  } catch {
    return []
  }
}
