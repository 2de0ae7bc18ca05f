import { setTimeout as pause } from 'node:timers/promises'

/** Resolves when `isTrue` is; rejects when that takes too long. */
export async function eventually(
  what: string,
  isTrue: () => boolean | Promise<boolean>,
  milliseconds = 10_000,
) {
  const deadline = Date.now() + milliseconds
  while (!(await isTrue())) {
    if (Date.now() > deadline) throw new Error(`not within ${milliseconds} ms: ${what}`)
    await pause(20)
  }
}
