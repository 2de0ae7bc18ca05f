/** Bytes; more than any manifest or error has. */
export const LONGEST_TEXT = 4 * 1024 * 1024

/** Reads a body as text. Throws the error of `tooLong` if it has more than `longest` bytes, and errors of the body. */
export async function collectText(
  body: AsyncIterable<Buffer>,
  longest: number,
  tooLong: () => Error,
): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.length
    if (size > longest) throw tooLong()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
