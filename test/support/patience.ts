/**
 * Time limits of the tests, in milliseconds. They end a test that waits in vain; they assert nothing. On a busy
 * machine everything takes many times longer than on a quiet one, so they are generous: only a failure costs them.
 */

/** How long a test waits for one event, such as an answer, a log line or the end of a program. */
export const PATIENCE = 60_000

/** How long one test may take. */
export const TEST_TIMEOUT = 180_000

/** How long a test may take that starts dozens of processes or kills a server many times. */
export const LONG_TEST_TIMEOUT = 480_000
