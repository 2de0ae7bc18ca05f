import { serviceUnavailable } from '../../images/errors.ts'

/**
 * A job that was running when the server crashed may be the cause of the crash, so it is not resumed without
 * limit.
 */

/** How often interrupted work is resumed. */
export const MOST_INTERRUPTIONS = 2

/** Returns the error of work that was interrupted too often. `what`: `import`, or the like. */
export const interruptedTooOften = (what: string, times: number) =>
  serviceUnavailable(
    `the server ended ${times} times in the middle of this ${what}, so it is not resumed automatically: request it again to resume from the bytes received so far`,
  )
