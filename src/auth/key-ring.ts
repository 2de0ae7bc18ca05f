import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import sshpk from 'sshpk'
import { readRegularNow } from '../util/regular-file.ts'

/** The largest file of keys, in bytes. A key has a few hundred. */
const LARGEST = 1024 * 1024

/**
 * The public keys of users, from the config and from a folder of `<user>.keys` files with OpenSSH lines (reference
 * contract, section 3). They are read at start and at each reload.
 */
export class KeyRing {
  #configured: Record<string, readonly string[]>
  readonly #folder: string
  readonly #warn: (message: string) => void
  #keys = new Map<string, sshpk.Key[]>()

  constructor(
    configured: Record<string, readonly string[]>,
    folder: string,
    warn: (message: string) => void,
  ) {
    this.#configured = configured
    this.#folder = folder
    this.#warn = warn
    this.reload()
  }

  keysOf(user: string): readonly sshpk.Key[] {
    return this.#keys.get(user) ?? []
  }

  /** Reads the folder again. `configured`: keys that replace those of the config. */
  reload(configured = this.#configured) {
    this.#configured = configured
    const keys = new Map<string, sshpk.Key[]>()
    const add = (user: string, lines: readonly string[], source: string) => {
      const parsed = lines.flatMap(line => this.#parse(line, source))
      if (parsed.length > 0) keys.set(user, [...(keys.get(user) ?? []), ...parsed])
    }
    for (const [user, lines] of Object.entries(this.#configured)) add(user, lines, `authKeys of ${user}`)
    for (const name of listFolder(this.#folder)) {
      if (!name.endsWith('.keys')) continue
      const path = join(this.#folder, name)
      add(name.slice(0, -'.keys'.length), this.#readLines(path), path)
    }
    this.#keys = keys
  }

  /** Parses a line. An invalid one is logged and skipped, so that it does not disable the keys of other users. */
  #parse(line: string, source: string): sshpk.Key[] {
    const text = line.trim()
    if (text === '' || text.startsWith('#')) return []
    try {
      return [sshpk.parseKey(text, 'auto')]
    } catch (error) {
      this.#warn(`${source}: a key cannot be read and is left out: ${(error as Error).message}`)
      return []
    }
  }

  /** Reads the lines of a file. One that cannot be read is logged and skipped, for the same reason. */
  #readLines(path: string): string[] {
    try {
      return readRegularNow(path, LARGEST, { follow: true }).toString().split('\n')
    } catch (error) {
      this.#warn(`${path}: the keys cannot be read and are left out: ${(error as Error).message}`)
      return []
    }
  }
}

function listFolder(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
