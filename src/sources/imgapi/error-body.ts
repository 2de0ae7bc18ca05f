import type { FieldError } from '../../images/errors.ts'
import { isObject } from '../../images/rules.ts'
import { SourceError, withoutCredentials } from '../http-client.ts'

/** The body of an error of the Image API, as far as the server sent one. */
export interface ErrorBody {
  code?: string
  message?: string
  errors?: FieldError[]
}

/** Reads the body of an error. Any text is accepted: the server may not be an image server. */
export function readErrorBody(body: string): ErrorBody {
  const { code, message, errors } = parseObject(body)
  return {
    ...(typeof code === 'string' && { code }),
    ...(typeof message === 'string' && { message }),
    ...(Array.isArray(errors) && { errors: errors.filter(isFieldError) }),
  }
}

function parseObject(json: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(json)
    return isObject(value) ? value : {}
  } catch {
    return {}
  }
}

const isFieldError = (value: unknown): value is FieldError =>
  isObject(value) &&
  typeof value.field === 'string' &&
  typeof value.code === 'string' &&
  (value.message === undefined || typeof value.message === 'string')

/** Makes the error for an unexpected status of a download, with the message of the server. */
export function statusError(url: URL, status: number, body: string): SourceError {
  const isTemporary = status >= 500 || status === 408 || status === 429
  const { code, message } = readErrorBody(body)
  return new SourceError(`HTTP ${status} from ${withoutCredentials(url)}${message ? `: ${message}` : ''}`, {
    isTemporary,
    status,
    code,
  })
}
