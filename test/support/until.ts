import { setTimeout as pause } from 'node:timers/promises'
import { PATIENCE } from './patience.ts'

/** Looks again and again until it holds; a test that waits in vain fails with what it waited for. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, milliseconds = PATIENCE) {
  const deadline = Date.now() + milliseconds
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`waited ${milliseconds} ms in vain for: ${what}`)
    await pause(10)
  }
}
