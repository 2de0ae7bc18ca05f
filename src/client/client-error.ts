import type { FieldError } from '../images/errors.ts'

export interface Failure {
  message: string
  /** As the server named it, or as the system does: `ECONNREFUSED`. */
  code: string
  /** Absent if there was no answer at all. */
  status?: number | undefined
  errors?: FieldError[] | undefined
  requestId?: string | undefined
  method: string
  /** Without credentials. */
  url: string
  /** The answer as it came, for those who want to see it. */
  body?: string | undefined
}

/** A request to a server that did not do what was asked: what it answered, or why there is no answer. */
export class ClientError extends Error {
  override readonly name = 'ClientError'
  readonly code: string
  readonly status: number | undefined
  readonly errors: FieldError[]
  readonly requestId: string | undefined
  readonly method: string
  readonly url: string
  readonly body: string | undefined

  constructor(failure: Failure, cause?: unknown) {
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

export interface Asked {
  method: string
  url: string
}

interface Answered {
  status: number
  headers: Record<string, string | string[] | undefined>
  body: string
}

/** From an answer that is no success. A server that is none of ours may answer with anything. */
export function answerError(asked: Asked, { status, headers, body }: Answered): ClientError {
  const said = parseError(body)
  const { location } = headers
  const redirect = status >= 300 && status < 400 && typeof location === 'string' ? ` to ${location}` : ''
  return new ClientError({
    ...asked,
    status,
    body,
    code: said.code ?? (redirect ? 'Redirect' : 'HttpError'),
    message: said.message ?? `the server answered with status ${status}${redirect}`,
    errors: said.errors,
    requestId: headerText(headers['x-request-id']),
  })
}

/** From a connection that failed, was refused, or broke off. */
export function connectionError(asked: Asked, error: unknown): ClientError {
  if (error instanceof ClientError) return error
  const { code, message, cause, errors } = error as NodeJS.ErrnoException & {
    cause?: NodeJS.ErrnoException
    errors?: NodeJS.ErrnoException[]
  }
  // Where a name has several addresses, the reasons are in a list, and the message is empty.
  const root = [error as NodeJS.ErrnoException, cause, errors?.[0]].find(one => one?.message)
  return new ClientError(
    { ...asked, code: code ?? cause?.code ?? 'ConnectionError', message: root?.message ?? message },
    error,
  )
}

const headerText = (value: string | string[] | undefined) => (typeof value === 'string' ? value : undefined)

function parseError(body: string): { code?: string; message?: string; errors?: FieldError[] } {
  try {
    const { code, message, errors } = JSON.parse(body)
    return {
      ...(typeof code === 'string' && { code }),
      ...(typeof message === 'string' && { message }),
      ...(Array.isArray(errors) && { errors }),
    }
  } catch {
    return {}
  }
}
