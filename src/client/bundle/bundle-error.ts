/** A bundle cannot be written or read; the message is for the operator. */
export class BundleError extends Error {
  override readonly name = 'BundleError'
  /** An image that was requested does not exist. */
  readonly isNotFound: boolean

  constructor(message: string, { isNotFound = false } = {}) {
    super(message)
    this.isNotFound = isNotFound
  }
}
