import { expect, test } from 'vitest'
import { SourceError } from '../../src/sources/http-client.ts'
import { isStale, withRetries } from '../../src/sources/retry.ts'

/** The policy for failed requests: what is retried, how often, and what progress changes. */

const RETRY = { retries: 2, firstDelay: 1, longestDelay: 1 }
const temporary = () => new SourceError('broken', { isTemporary: true })
const never = new AbortController().signal

/** Fails with the errors one after the other, then succeeds. Returns the calls and the reported failures. */
function failing(...errors: Error[]) {
  const counts = { calls: 0, reported: 0 }
  const run = async () => {
    const error = errors[counts.calls++]
    if (error) throw error
    return 'done'
  }
  return { run, counts, onRetry: () => void counts.reported++ }
}

test('a temporary failure is retried and reported, as often as the policy says', async () => {
  const twice = failing(temporary(), temporary())
  await expect(withRetries(twice.run, { ...twice, retry: RETRY, signal: never })).resolves.toBe('done')
  expect(twice.counts).toEqual({ calls: 3, reported: 2 })
  const always = failing(temporary(), temporary(), temporary())
  await expect(withRetries(always.run, { ...always, retry: RETRY, signal: never })).rejects.toThrow('broken')
  expect(always.counts).toEqual({ calls: 3, reported: 2 })
})

test('an error that has a temporary failure as its cause is retried, any other one is not', async () => {
  const caused = failing(new Error('outer', { cause: temporary() }))
  await expect(withRetries(caused.run, { ...caused, retry: RETRY, signal: never })).resolves.toBe('done')
  for (const error of [
    new SourceError('refused'),
    new Error('ours'),
    new SourceError('', { isStale: true }),
  ]) {
    const once = failing(error)
    await expect(withRetries(once.run, { ...once, retry: RETRY, signal: never })).rejects.toBe(error)
    expect(once.counts).toEqual({ calls: 1, reported: 0 })
  }
})

test('the caller chooses another kind of error, and is waited for before the next attempt', async () => {
  const stale = () => new Error('download', { cause: new SourceError('changed', { isStale: true }) })
  const order: string[] = []
  const { run } = failing(stale(), stale())
  const attempt = () => {
    order.push('attempt')
    return run()
  }
  const onRetry = async () => {
    await new Promise(resolve => setImmediate(resolve))
    order.push('restart')
  }
  await withRetries(attempt, { retry: RETRY, signal: never, isRetried: isStale, onRetry })
  expect(order).toEqual(['attempt', 'restart', 'attempt', 'restart', 'attempt'])
})

test('progress resets the count of failures, but not without end', async () => {
  let offset = 0
  const options = { retry: { ...RETRY, retries: 1 }, signal: never, progress: () => offset }
  // Each second attempt makes progress.
  let calls = 0
  const slowly = async () => {
    if (++calls === 20) return 'done'
    if (calls % 2 === 0) offset++
    throw temporary()
  }
  await expect(withRetries(slowly, options)).resolves.toBe('done')
  const endless = async () => {
    offset++
    throw temporary()
  }
  offset = 0
  await expect(withRetries(endless, options)).rejects.toThrow('broken')
  expect(offset).toBe(201)
})

test('an abort ends the delay with its reason, with and without progress', async () => {
  const retry = { retries: 5, firstDelay: 3600_000, longestDelay: 3600_000 }
  for (const progress of [() => 0, Math.random]) {
    const controller = new AbortController()
    const reason = new Error('enough')
    const onRetry = () => void setImmediate(() => controller.abort(reason))
    const { run } = failing(temporary())
    const options = { retry, signal: controller.signal, onRetry, progress }
    await expect(withRetries(run, options)).rejects.toBe(reason)
  }
})
