import { expect } from 'vitest'
import type { Answer } from './api.ts'
import type { RawAnswer } from './raw-http.ts'

/** The client is told that it is wrong, and how, in JSON. */
export function expectRefusal(answer: Pick<Answer, 'status' | 'body' | 'text'>, status?: number) {
  expect(answer.status, answer.text).toBeGreaterThanOrEqual(400)
  expect(answer.status, answer.text).toBeLessThan(500)
  if (status !== undefined) expect(answer.status, answer.text).toBe(status)
  expect(answer.body).toMatchObject({ code: expect.any(String), message: expect.any(String) })
}

export function expectRawRefusal({ status, body, head }: RawAnswer, expected?: number) {
  expectRefusal({ status, text: `${head}\n${body}`, body: JSON.parse(body) }, expected)
}

/** The code of the error that a call throws, or undefined. */
export function codeOf(run: () => unknown): string | undefined {
  try {
    run()
    return undefined
  } catch (error) {
    return (error as { code: string }).code
  }
}
