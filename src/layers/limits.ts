import { Limits } from '../util/tar/limits.ts'

const MiB = 1024 ** 2
const GiB = 1024 ** 3

/**
 * Limits for all layers of an image together, so that a small download cannot take much memory or time. They admit
 * images of half a million files, each with a path of 250 bytes and 2 KiB of pax headers.
 */
const LIMITS = {
  entries: { most: 1_000_000, what: 'files' },
  /** Bytes of full paths. */
  names: { most: 128 * MiB, what: 'bytes of names' },
  links: { most: 64 * MiB, what: 'bytes of targets of symbolic links' },
  /** Pax headers and GNU's long names, with the blocks that announce them. */
  extensions: { most: GiB, what: 'bytes of extended headers' },
  /** Sizes of files, holes and files that upper layers replace included. */
  content: { most: 256 * GiB, what: 'bytes in files' },
  /** Entries in the maps of sparse files. */
  parts: { most: 1_000_000, what: 'parts in sparse files' },
  /** Steps from a directory to an entry of it, to resolve a path or to apply a whiteout. */
  steps: { most: 50_000_000, what: 'steps between its names' },
} as const

/** Counts the resources that the layers of an image take. Throws TarError if one exceeds its limit. */
export class LayerLimits extends Limits<keyof typeof LIMITS> {
  constructor() {
    super('the image', LIMITS)
  }
}
