import { ImgapiError } from '../../images/errors.ts'

/** Work that the end of the server interrupted may be the cause of that end: it is not taken up again for ever. */

/** How often interrupted work is taken up again. */
export const MOST_INTERRUPTIONS = 2

/** What such work fails with. */
export const interruptedTooOften = (what: string, times: number) =>
  new ImgapiError(
    'ServiceUnavailableError',
    `the server ended ${times} times in the middle of this ${what}, so it is not taken up again by itself: ask for it again to go on with what has arrived`,
  )
