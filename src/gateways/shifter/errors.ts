import { ImgapiError } from '../../images/errors.ts'

/** An error with an HTTP status and a message for the client. */
export class HttpError extends ImgapiError {
  /** Details for the client that the original gateway does not have. */
  readonly reason: string | undefined

  constructor(status: number, message: string, reason?: string) {
    super(status === 404 ? 'ResourceNotFound' : 'BadRequestError', message, { status })
    this.reason = reason
  }
}
