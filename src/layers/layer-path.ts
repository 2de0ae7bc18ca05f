import { TarError } from '../util/tar/tar-error.ts'
import { shownName } from '../util/tar/tar-header.ts'

/** Names in layers, split at their slashes. */

export const LONGEST_PART = 255

/** Returns the parts of a name; `..` removes the part before it. Throws TarError for a name outside of the image. */
export function partsOf(name: string): string[] {
  const what = `the name "${shownName(name)}"`
  return normalize(name, what, () => {
    throw new TarError(`${what} leads out of the image`)
  })
}

/** Returns the parts of the target of a hard link, where `..` above the root is the root. Throws TarError. */
export const targetPartsOf = (linkname: string, what: string) => normalize(linkname, what, () => {})

function normalize(name: string, what: string, onRoot: () => void): string[] {
  if (name.includes('\0')) throw new TarError(`${what} contains a zero byte`)
  const parts: string[] = []
  for (const part of stepsOf(name)) {
    if (part.length > LONGEST_PART) throw tooLong(what)
    if (part !== '..') parts.push(part)
    else if (parts.pop() === undefined) onRoot()
  }
  return parts
}

/** Returns the steps in which a system resolves a path, `..` included. */
export const stepsOf = (name: string) => name.split('/').filter(step => step !== '' && step !== '.')

export const tooLong = (what: string) => new TarError(`${what} is longer than systems allow`)
