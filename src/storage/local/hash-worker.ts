/** The messages from the hasher to its thread. */
export type HashRequest =
  | { op: 'open'; id: number; fd: number; algorithms: string[] }
  | { op: 'advance'; id: number; end: number }
  | { op: 'finish'; id: number }
  | { op: 'cancel'; id: number }

export interface HashReply {
  id: number
  digests?: string[]
  /** The fields of a system error. */
  error?: { message: string; code?: string; syscall?: string }
}

/**
 * The body of the hashing thread. It reads files through their descriptor, which threads share, from the page cache
 * where the upload has just put them. The thread is started from the function's source text, so that the program
 * stays one file: the function must not refer to anything outside itself.
 */
export function hashWorker() {
  const { parentPort } = process.getBuiltinModule('node:worker_threads')
  const { readSync } = process.getBuiltinModule('node:fs')
  const { createHash } = process.getBuiltinModule('node:crypto')
  const buffer = Buffer.allocUnsafeSlow(256 * 1024)
  const jobs = new Map<
    number,
    { fd: number; position: number; hashes: import('node:crypto').Hash[]; error?: HashReply['error'] }
  >()

  parentPort!.on('message', (request: HashRequest) => {
    const { id } = request
    if (request.op === 'open') {
      const hashes = request.algorithms.map(algorithm => createHash(algorithm))
      jobs.set(id, { fd: request.fd, position: 0, hashes })
      return
    }
    if (request.op === 'cancel') {
      jobs.delete(id)
      parentPort!.postMessage({ id })
      return
    }
    const job = jobs.get(id)!
    if (request.op === 'advance') {
      try {
        while (!job.error && job.position < request.end) {
          const length = Math.min(buffer.length, request.end - job.position)
          const read = readSync(job.fd, buffer, 0, length, job.position)
          if (read === 0) throw new Error('the file is shorter than what was written to it')
          for (const hash of job.hashes) hash.update(buffer.subarray(0, read))
          job.position += read
        }
      } catch (error) {
        const { message, code, syscall } = error as NodeJS.ErrnoException
        job.error = { message, code, syscall } as HashReply['error']
      }
      return
    }
    jobs.delete(id)
    parentPort!.postMessage(
      job.error ? { id, error: job.error } : { id, digests: job.hashes.map(hash => hash.digest('hex')) },
    )
  })
}
