import { invalidParameter } from './errors.ts'
import { COMPRESSIONS } from './fields.ts'
import type { Compression } from './image.ts'

const MAGIC: readonly (readonly [Compression, Buffer])[] = [
  ['bzip2', Buffer.from('BZh')],
  ['gzip', Buffer.from([0x1f, 0x8b, 0x08])],
  ['xz', Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00])],
]

/** Detects the compression from the first bytes of a file; `none` if they are not known. */
export function sniffCompression(head: Buffer): Compression {
  const known = MAGIC.find(([, magic]) => head.subarray(0, magic.length).equals(magic))
  return known ? known[0] : 'none'
}

/** Reads the `compression` parameter; undefined means that it is detected. Throws InvalidParameter. */
export function readCompression(given: string | undefined): Compression | undefined {
  if (given === undefined || (COMPRESSIONS as readonly string[]).includes(given)) {
    return given as Compression | undefined
  }
  const message = `invalid compression "${given}" (must be one of ${COMPRESSIONS.join(', ')})`
  throw invalidParameter('compression', message)
}

/**
 * Checks the claimed compression against the first bytes: with a wrong one no host could install the image, because the
 * tools would pass compressed bytes to `zfs receive`. `none` is always accepted, since a payload may be compressed by
 * design. Throws InvalidParameter.
 */
export function checkCompression(claimed: Compression | undefined, head: Buffer) {
  if (claimed === undefined || claimed === 'none') return
  const found = sniffCompression(head)
  if (found === claimed) return
  const message = `the file is not ${claimed}: its first bytes say "${found}"; send compression=${found}, or the right file`
  throw invalidParameter('compression', message)
}

/** The usual ending of an image's file name. */
export const EXTENSION: Record<Compression, string> = { gzip: '.gz', bzip2: '.bz2', xz: '.xz', none: '' }
