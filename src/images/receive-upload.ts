import type { Readable } from 'node:stream'
import { upload } from './errors.ts'
import type { Images } from './images.ts'
import { type ReceivedFile, ReceiveError, type ReceiveOptions, type ReceiveProblem } from './ports.ts'

/** Receives the body of an upload. Throws Upload if it ends early, stalls or has another size than it may have. */
export async function receiveUpload(
  { files }: Images,
  source: Readable,
  options: ReceiveOptions,
): Promise<ReceivedFile> {
  try {
    return await files.receive(source, options)
  } catch (error) {
    throw error instanceof ReceiveError ? upload(describe(error.problem)) : error
  }
}

/** Words a problem of the storage for the client that uploads. */
function describe(problem: ReceiveProblem): string {
  switch (problem.reason) {
    case 'closed':
      return `the connection closed after ${problem.size} bytes`
    case 'stalled':
      return `no byte arrived for ${problem.seconds} seconds, after ${problem.size} bytes: send the file again`
    case 'wrong-size':
      return `"Content-Length" header, ${problem.expectedSize}, does not match uploaded size, ${problem.size}`
    case 'too-large':
      return problem.message
  }
}
