/**
 * An error that occurred while or after names on the disk were changed: the change may or may not have happened, and a
 * power cut may still undo it. The disk has to be read again to find out.
 */
export class UncertainChange extends Error {
  override readonly name = 'UncertainChange'
  /** The code of the system error. */
  readonly code: string | undefined

  constructor(cause: unknown) {
    const { message, code } = cause as NodeJS.ErrnoException
    super(message, { cause })
    this.code = code
  }
}
