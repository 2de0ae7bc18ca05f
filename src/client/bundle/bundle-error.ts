import { EXIT, OperatorError } from '../../util/operator-error.ts'

/** A bundle cannot be written or read. */
export class BundleError extends OperatorError {
  override readonly name = 'BundleError'

  /** `isNotFound`: whether an image that was requested does not exist. */
  constructor(message: string, { isNotFound = false } = {}) {
    super(message, isNotFound ? EXIT.notFound : EXIT.failed)
  }
}
