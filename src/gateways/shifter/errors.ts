import { ImgapiError } from '../../images/errors.ts'

/** A request that is not done; the message is for the client. */
export class HttpError extends ImgapiError {
  /** More than the original gateway says. */
  readonly reason: string | undefined

  constructor(status: number, message: string, reason?: string) {
    super(status === 404 ? 'ResourceNotFound' : 'BadRequestError', message, { status })
    this.reason = reason
  }
}
