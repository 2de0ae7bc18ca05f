/** A bundle that cannot be made or read, in a sentence for the operator. */
export class BundleError extends Error {
  override readonly name = 'BundleError'
  /** What was asked for is not there. */
  readonly isNotFound: boolean

  constructor(message: string, { isNotFound = false } = {}) {
    super(message)
    this.isNotFound = isNotFound
  }
}
