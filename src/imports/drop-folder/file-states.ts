import type { Stats } from 'node:fs'
import { performance } from 'node:perf_hooks'
import { fingerprintOf } from './files.ts'

/** Milliseconds without a change after which a file counts as completely written. */
const SETTLED = 3000

/** What is known of the files of a drop folder from earlier scans, by name. */
export class FileStates {
  /** The fingerprint of each file, and since when it has not changed. */
  readonly #seen = new Map<string, { fingerprint: string; since: number }>()
  /** What was last logged for each name, so that it is logged once. */
  readonly #logged = new Map<string, string>()
  /** Pairs that were rejected, by manifest: they fail only if they do not change until they settle. */
  readonly #rejected = new Map<string, { fingerprint: string; error: Error }>()

  /** Records that a scan found the file. */
  see(name: string, stats: Stats) {
    const fingerprint = fingerprintOf(stats)
    if (this.#seen.get(name)?.fingerprint === fingerprint) return
    this.#seen.set(name, { fingerprint, since: performance.now() })
  }

  /** Returns whether the file has not changed for a while. */
  isSettled(name: string): boolean {
    const seen = this.#seen.get(name)
    return seen !== undefined && performance.now() - seen.since >= SETTLED
  }

  /** Returns a string that differs if one of the files was changed or replaced between two scans. */
  fingerprint(...names: string[]): string {
    return names.map(name => this.#seen.get(name)?.fingerprint).join(' ')
  }

  /** Returns whether this has not been logged for the name yet, and records that it is. */
  isNew(name: string, text: string): boolean {
    if (this.#logged.get(name) === text) return false
    this.#logged.set(name, text)
    return true
  }

  reject(manifest: string, fingerprint: string, error: Error) {
    this.#rejected.set(manifest, { fingerprint, error })
  }

  /** Returns why the pair was rejected, if its files have not changed since. */
  rejectionOf(manifest: string, fingerprint: string): Error | undefined {
    const rejected = this.#rejected.get(manifest)
    return rejected?.fingerprint === fingerprint ? rejected.error : undefined
  }

  forget(name: string) {
    this.#seen.delete(name)
    this.#logged.delete(name)
    this.#rejected.delete(name)
  }

  /** Forgets the files that are not there any more. */
  forgetAllBut(names: readonly string[]) {
    for (const name of [...this.#seen.keys(), ...this.#logged.keys()]) {
      if (!names.includes(name)) this.forget(name)
    }
  }
}
