/** Errors whose message alone says what is wrong and what to do: the command line prints it, without a stack. */

/** Exit codes; `interrupted` is 128 + SIGINT, as shells expect. */
export const EXIT = { failed: 1, usage: 2, notFound: 3, interrupted: 130 } as const

/** An error for the person at the command line, or for the operator of the server. It is thrown where it arises. */
export class OperatorError extends Error {
  override readonly name: string = 'OperatorError'
  readonly exitCode: number

  constructor(message: string, exitCode: number = EXIT.failed) {
    super(message)
    this.exitCode = exitCode
  }
}

/** The command line or its environment is wrong. */
export class UsageError extends OperatorError {
  override readonly name: string = 'UsageError'

  constructor(message: string) {
    super(message, EXIT.usage)
  }
}

/** Returns whether the message of an error is enough: it is for the operator, or the system refused a call. */
export const isForOperator = (error: unknown): error is Error =>
  error instanceof OperatorError ||
  (error instanceof Error && typeof (error as NodeJS.ErrnoException).syscall === 'string')

/** Returns the error with a text before its message, which says where it arose. One with a bug is returned unchanged. */
export function prefixed(error: unknown, prefix: string): unknown {
  if (!isForOperator(error)) return error
  const { exitCode } = error as Partial<OperatorError>
  return new OperatorError(`${prefix}: ${error.message}`, exitCode)
}
