/**
 * Limits for JSON from clients, other servers and copied files, far above what real manifests need. A document that is
 * nested deeper could be parsed but not serialised again, which recurses for each level; a larger one would make every
 * list that contains it slow.
 */

/** Levels of objects and arrays. */
const DEEPEST = 64

/** Characters of one manifest or other document, with its indentation, and bytes of its file. */
export const LARGEST_DOCUMENT = 4 * 1024 * 1024

/** JSON that is not valid or out of bounds. The message continues a sentence whose subject is the document. */
export class JsonError extends Error {
  override readonly name = 'JsonError'
}

/** Parses JSON. `largest`: characters, of the text and of the value serialised. Throws JsonError. */
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

/** Checks the bounds of a parsed value. Throws JsonError. */
export function checkBounds(value: unknown, largest = LARGEST_DOCUMENT) {
  if (sizeOf(value, 0) > largest) throw tooLarge(largest)
}

const tooLarge = (largest: number) => new JsonError(`is larger than ${largest} characters`)

/** Returns a lower bound of the serialised size, so that a document written within bounds can be read again. */
function sizeOf(value: unknown, level: number): number {
  if (typeof value === 'string') return value.length + 2
  if (typeof value !== 'object' || value === null) return 1
  if (level === DEEPEST) throw new JsonError(`is nested deeper than ${DEEPEST} levels`)
  // Each member is on its own line, with two spaces for each level.
  const line = 2 * level + 3
  let size = 2
  if (Array.isArray(value)) {
    for (const item of value) size += line + sizeOf(item, level + 1)
  } else {
    for (const key in value) size += line + key.length + 4 + sizeOf(value[key as keyof object], level + 1)
  }
  return size
}
