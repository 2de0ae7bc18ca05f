import { FailedError } from '../command.ts'

/** Rethrows an error as one whose message alone is shown to the operator. Throws FailedError. */
export function fail(error: unknown): never {
  throw error instanceof FailedError ? error : new FailedError((error as Error).message)
}
