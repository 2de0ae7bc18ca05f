import { TarError } from './tar-error.ts'

const MiB = 1024 ** 2
const GiB = 1024 ** 3

/**
 * The most that the layers of one image may have in all, so that a small layer cannot take much memory or time.
 * Images of half a million files stay below: with paths of 250 bytes, and 2 KiB of pax headers for each.
 */
const LIMITS = {
  entries: { most: 1_000_000, what: 'files' },
  /** Of full paths, and of what symbolic links lead to. */
  names: { most: 128 * MiB, what: 'bytes of names' },
  links: { most: 64 * MiB, what: 'bytes of targets of symbolic links' },
  /** Pax headers and GNU's long names, with the blocks that announce them. */
  extensions: { most: GiB, what: 'bytes of extended headers' },
  /** Files with their holes, also those that upper layers replace. */
  content: { most: 256 * GiB, what: 'bytes in files' },
  /** Of maps of sparse files. */
  parts: { most: 1_000_000, what: 'parts in sparse files' },
  /** From a directory to what is in it, in search of a name or of what a whiteout hides. */
  steps: { most: 50_000_000, what: 'steps between its names' },
} as const

/** Adds up what an image has. */
export class Limits {
  readonly #totals = new Map<keyof typeof LIMITS, number>()

  /** Throws TarError when the sum is more than an image may have. */
  add(kind: keyof typeof LIMITS, amount: number) {
    const total = (this.#totals.get(kind) ?? 0) + amount
    this.#totals.set(kind, total)
    const { most, what } = LIMITS[kind]
    if (total > most) throw new TarError(`the image has more than ${most} ${what}`)
  }
}
