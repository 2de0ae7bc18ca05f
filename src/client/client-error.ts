import type { FieldError } from '../images/errors.ts'
import { type ErrorBody, readErrorBody } from '../sources/imgapi/error-body.ts'
import type { ApiAnswer } from '../sources/imgapi/transport.ts'

/** The properties of a ClientError. */
export interface FailureDetails {
  message: string
  /** The code of the server, or of the system: `ECONNREFUSED`. */
  code: string
  /** Absent if there was no answer at all. */
  status?: number | undefined
  errors?: FieldError[] | undefined
  requestId?: string | undefined
  method: string
  /** Without credentials. */
  url: string
  /** The raw response body, for `--verbose`. */
  body?: string | undefined
}

/** A request failed: the server answered with an error, or could not be reached. */
export class ClientError extends Error {
  override readonly name = 'ClientError'
  readonly code: string
  readonly status: number | undefined
  readonly errors: FieldError[]
  readonly requestId: string | undefined
  readonly method: string
  readonly url: string
  readonly body: string | undefined

  constructor(failure: FailureDetails, cause?: unknown) {
    super(failure.message, { cause })
    this.code = failure.code
    this.status = failure.status
    this.errors = failure.errors ?? []
    this.requestId = failure.requestId
    this.method = failure.method
    this.url = failure.url
    this.body = failure.body
  }

  get isNotFound() {
    return this.status === 404
  }
}

/** The request that failed. */
export interface RequestInfo {
  method: string
  url: string
}

/** Makes an error of a response without success or, with a `problem` such as `does not answer with JSON`, of any. */
export function answerError(
  info: RequestInfo,
  { status, headers, body }: ApiAnswer,
  problem?: string,
): ClientError {
  const parsed: ErrorBody =
    problem === undefined
      ? readErrorBody(body)
      : { message: `the server ${problem}: is this an image server?` }
  const { location } = headers
  const redirect = status >= 300 && status < 400 && typeof location === 'string' ? ` to ${location}` : ''
  return new ClientError({
    ...info,
    status,
    body,
    code: parsed.code ?? (redirect ? 'Redirect' : 'HttpError'),
    message: parsed.message ?? `the server answered with status ${status}${redirect}`,
    errors: parsed.errors,
    requestId: headerText(headers['x-request-id']),
  })
}

/** Makes the error of a response that is too long to be one of the API. */
export const tooLongError = (info: RequestInfo, longest: number) =>
  new ClientError({ ...info, code: 'TooLong', message: `the server answers with more than ${longest} bytes` })

/** Makes an error of a connection that failed, was refused, or broke off. */
export function connectionError(info: RequestInfo, error: unknown): ClientError {
  if (error instanceof ClientError) return error
  const { code, message, cause, errors } = error as NodeJS.ErrnoException & {
    cause?: NodeJS.ErrnoException
    errors?: NodeJS.ErrnoException[]
  }
  // For a name with several addresses the message is empty, and the causes are in `errors`.
  const root = [error as NodeJS.ErrnoException, cause, errors?.[0]].find(one => one?.message)
  return new ClientError(
    { ...info, code: code ?? cause?.code ?? 'ConnectionError', message: root?.message ?? message },
    error,
  )
}

const headerText = (value: string | string[] | undefined) => (typeof value === 'string' ? value : undefined)
