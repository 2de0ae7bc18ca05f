/**
 * Bounds of JSON that comes from outside: from clients, other servers, files that were copied here. Nothing that the
 * server works with comes near them. What is nested deeper could be read and not be written out again, since that
 * takes a call for each level; what is larger would make every list with it slow.
 */

/** Levels of objects and arrays. */
const DEEPEST = 64

/** Characters of a manifest, or of another single document, written out with its indentation; and bytes of its file. */
export const LARGEST_DOCUMENT = 4 * 1024 * 1024

/** JSON that cannot be read or is out of bounds. The message continues a sentence that begins with its name. */
export class JsonError extends Error {
  override readonly name = 'JsonError'
}

/** Reads JSON. `largest`: characters, in the text and as it would be written out. Throws JsonError. */
export function parseJson(text: string, largest = LARGEST_DOCUMENT): unknown {
  if (text.length > largest) throw tooLarge(largest)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new JsonError(`is not JSON: ${(error as Error).message}`)
  }
  checkBounds(value, largest)
  return value
}

/** Checks a value that has been read already. Throws JsonError. */
export function checkBounds(value: unknown, largest = LARGEST_DOCUMENT) {
  if (sizeOf(value, 0) > largest) throw tooLarge(largest)
}

const tooLarge = (largest: number) => new JsonError(`is larger than ${largest} characters`)

/** The least number of characters that it is written out with: what was written within bounds can be read again. */
function sizeOf(value: unknown, level: number): number {
  if (typeof value === 'string') return value.length + 2
  if (typeof value !== 'object' || value === null) return 1
  if (level === DEEPEST) throw new JsonError(`is nested deeper than ${DEEPEST} levels`)
  // Each member has a line of its own, which begins with two spaces a level.
  const line = 2 * level + 3
  let size = 2
  if (Array.isArray(value)) {
    for (const item of value) size += line + sizeOf(item, level + 1)
  } else {
    for (const key in value) size += line + key.length + 4 + sizeOf(value[key as keyof object], level + 1)
  }
  return size
}
