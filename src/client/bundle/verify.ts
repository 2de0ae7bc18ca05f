import { createHash } from 'node:crypto'
import { Transform } from 'node:stream'

export interface Expected {
  size: number
  sha1: string
}

/** Returns a transform that passes bytes through and fails at the end if size or SHA-1 are not as expected. */
export function verifier(
  { size, sha1 }: Expected,
  hooks: { fail(problem: string): Error; onBytes(count: number): void },
) {
  const hash = createHash('sha1')
  let count = 0
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      count += chunk.length
      hash.update(chunk)
      hooks.onBytes(count)
      done(null, chunk)
    },
    flush(done) {
      const found = hash.digest('hex')
      if (count !== size) done(hooks.fail(`has ${count} bytes, not ${size}`))
      else if (found !== sha1) done(hooks.fail(`has SHA-1 ${found}, not ${sha1}`))
      else done()
    },
  })
}
