/**
 * The error came while names on the disk were being changed, or later: the change may have happened or not, and a power
 * cut may still undo it. Only the storage itself can say what is there now.
 */
export class UncertainChange extends Error {
  override readonly name = 'UncertainChange'
  /** Of the error of the system. */
  readonly code: string | undefined

  constructor(cause: unknown) {
    const { message, code } = cause as NodeJS.ErrnoException
    super(message, { cause })
    this.code = code
  }
}
