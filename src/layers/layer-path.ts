import { TarError } from './tar-error.ts'

/** Names in layers, as the parts between their slashes. */

export const LONGEST_PART = 255

/** For messages: bytes that are UTF-8 as text, in one line. */
export const shownName = (name: string) =>
  Buffer.from(name, 'latin1')
    .toString()
    .replace(/\p{Cc}/gu, '?')
    .slice(0, 200)

/** `..` removes the part before it. Throws TarError for a name that leads out of the image. */
export function partsOf(name: string): string[] {
  const what = `the name "${shownName(name)}"`
  return normalize(name, what, () => {
    throw new TarError(`${what} leads out of the image`)
  })
}

/** Of the target of a hard link, for which `..` above the root of the image is the root. Throws TarError. */
export const targetPartsOf = (linkname: string, what: string) => normalize(linkname, what, () => {})

function normalize(name: string, what: string, onRoot: () => void): string[] {
  if (name.includes('\0')) throw new TarError(`${what} has a zero byte in it`)
  const parts: string[] = []
  for (const part of stepsOf(name)) {
    if (part.length > LONGEST_PART) throw tooLong(what)
    if (part !== '..') parts.push(part)
    else if (parts.pop() === undefined) onRoot()
  }
  return parts
}

/** What a system goes through one after another, `..` included. */
export const stepsOf = (name: string) => name.split('/').filter(step => step !== '' && step !== '.')

export const tooLong = (what: string) => new TarError(`${what} is longer than systems allow`)
