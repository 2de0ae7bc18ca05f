import { setTimeout as sleep } from 'node:timers/promises'
import pRetry from 'p-retry'
import { SourceError } from './http-client.ts'

/** The one policy for failed requests to other servers. */

export interface RetryPolicy {
  /** Maximum number of failures in a row without progress between them. */
  retries: number
  /** Milliseconds before the first retry; doubled each time. */
  firstDelay: number
  longestDelay: number
  /** Milliseconds after the start of the first attempt after which there is no retry. */
  longestTime?: number | undefined
}

/** For requests on which a client waits: reports within seconds that a server cannot be reached. */
export const QUICK_RETRY: RetryPolicy = { retries: 2, firstDelay: 500, longestDelay: 1000, longestTime: 4000 }

/** Maximum number of failures with progress between them: a source that fails more often needs attention. */
const MOST_FAILURES = 200

export interface RetryOptions {
  retry: RetryPolicy
  signal: AbortSignal
  /** Returns whether an error is retried; default: temporary ones. */
  isRetried?(error: unknown): boolean
  /** Called with each failure that is retried, before the delay, which begins when the promise resolves. */
  onRetry?: ((error: Error) => void | Promise<void>) | undefined
  /** Returns what has been achieved so far: a change resets the count of failures in a row, and the delay. */
  progress?(): number
}

/** Retries with exponential backoff. Rejects with the last error or the signal's reason. */
export async function withRetries<T>(run: () => Promise<T>, options: RetryOptions): Promise<T> {
  const { retry, signal, isRetried = isTemporary, onRetry, progress = () => 0 } = options
  for (let failures = 0; ; failures++) {
    const before = progress()
    const isStuck = () => progress() === before
    try {
      return await pRetry(run, {
        retries: retry.retries,
        minTimeout: retry.firstDelay,
        maxTimeout: retry.longestDelay,
        ...(retry.longestTime !== undefined && { maxRetryTime: retry.longestTime }),
        signal,
        shouldRetry: async ({ error }) => {
          const isAgain = !signal.aborted && isRetried(error) && isStuck()
          if (isAgain) await onRetry?.(error)
          return isAgain
        },
      })
    } catch (error) {
      if (signal.aborted || !isRetried(error) || isStuck() || failures === MOST_FAILURES) throw error
      await onRetry?.(error as Error)
      await sleep(retry.firstDelay, undefined, { signal }).catch(() => signal.throwIfAborted())
    }
  }
}

/** Returns whether a retry may succeed where the error, or its cause, was a failed request. */
export const isTemporary = (error: unknown) => sourceError(error)?.isTemporary === true

/** Returns whether a restart from the first byte may succeed after the error or its cause. */
export const isStale = (error: unknown) => sourceError(error)?.isStale === true

function sourceError(error: unknown): SourceError | undefined {
  const root = error instanceof SourceError ? error : (error as Error).cause
  return root instanceof SourceError ? root : undefined
}
