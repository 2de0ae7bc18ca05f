import { downloadFailed } from '../../images/errors.ts'
import { ReceiveError, type ReceiveProblem } from '../../images/ports.ts'

/** Returns Download for a ReceiveError of a file that this server fetches; any other error unchanged. */
export const downloadError = (error: unknown): unknown =>
  error instanceof ReceiveError ? downloadFailed(describe(error.problem), error) : error

/** Words a problem of the storage for a file that this server fetches. */
function describe(problem: ReceiveProblem): string {
  switch (problem.reason) {
    case 'closed':
      return `the connection closed after ${problem.size} bytes`
    case 'stalled':
      return `no byte arrived for ${problem.seconds} seconds, after ${problem.size} bytes`
    case 'wrong-size':
      return wrongSize(problem.expectedSize, problem.size)
    case 'too-large':
      return problem.message
  }
}

/** Describes a file of another size than its manifest says. */
export const wrongSize = (expected: number, found: number) =>
  `"size" file field, ${expected}, does not match the downloaded file size, ${found}`
