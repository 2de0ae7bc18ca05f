/**
 * The error catalogue of the Image API: every code a client may see and its HTTP status
 * (reference contract, section 13). The HTTP layer renders these and no others. Codes that end in
 * `Error` have that suffix in responses too.
 */
const STATUS = {
  BadDigest: 400,
  BadRequestError: 400,
  Download: 400,
  InvalidContent: 400,
  InvalidVersion: 400,
  NotImplemented: 400,
  Upload: 400,
  UnauthorizedError: 401,
  OperatorOnly: 403,
  ResourceNotFound: 404,
  MethodNotAllowedError: 405,
  NotAcceptable: 406,
  ImageUuidAlreadyExists: 409,
  InvalidArgument: 409,
  MissingParameter: 409,
  PreconditionFailed: 412,
  PayloadTooLarge: 413,
  RangeNotSatisfiable: 416,
  ImageAlreadyActivated: 422,
  ImageFilesImmutable: 422,
  ImageHasDependentImages: 422,
  ImageNotShared: 422,
  InvalidParameter: 422,
  NoActivationNoFile: 422,
  NotImageOwner: 422,
  OriginDoesNotExist: 422,
  OriginIsNotActive: 422,
  ValidationFailed: 422,
  TooManyRequests: 429,
  InternalError: 500,
  NotAvailable: 501,
  RemoteSourceError: 503,
  ServiceUnavailableError: 503,
  StorageIsDown: 503,
  StorageUnsupported: 503,
} as const

export type ErrorCode = keyof typeof STATUS

/** One entry of `errors[]`: the field, a code, and an optional message. */
export interface FieldError {
  field: string
  code: 'MissingParameter' | 'Missing' | 'Invalid' | 'InvalidParameter' | 'NotAllowed'
  message?: string
}

interface Details {
  errors?: FieldError[]
  status?: number
  headers?: Record<string, string>
  cause?: unknown
}

/** An error for the client: `{code, message, errors?}` with a status. */
export class ImgapiError extends Error {
  override readonly name = 'ImgapiError'
  readonly code: ErrorCode
  readonly status: number
  readonly errors: FieldError[] | undefined
  readonly headers: Record<string, string>

  constructor(code: ErrorCode, message: string, details: Details = {}) {
    super(message, { cause: details.cause })
    this.code = code
    this.status = details.status ?? STATUS[code]
    this.errors = details.errors
    this.headers = details.headers ?? {}
  }
}

const WORDS: Record<FieldError['code'], string> = {
  MissingParameter: 'is missing',
  Missing: 'is missing',
  Invalid: 'is not valid',
  InvalidParameter: 'is not valid',
  NotAllowed: 'is not allowed',
}

/** Describes the problem of a field. */
export const problemOf = ({ code, message }: FieldError) => message ?? WORDS[code]

/** Returns the message in one line, with those problems of `errors[]` that it does not mention already. */
export function fullMessage(error: { message: string; errors?: readonly FieldError[] | undefined }): string {
  const { message, errors = [] } = error
  // Such a message lists the fields, but not their problems.
  const isList = message.endsWith(errors.map(({ field }) => field).join(', '))
  const more = errors
    .filter(one => one.message !== undefined || isList)
    .map(one => ({ field: one.field, problem: problemOf(one) }))
    .filter(({ problem }) => !message.includes(problem))
  return [message, ...more.map(({ field, problem }) => `${field}: ${problem}`)].join('; ')
}

/*
 * The factories: at least one for each code that this server sends, so that every error of a code is made here.
 * `errors`: the entries of `errors[]`. `cause`: the error behind it, for the log.
 */

type Factory = (message: string, cause?: unknown) => ImgapiError

const factory =
  (code: ErrorCode): Factory =>
  (message, cause) =>
    new ImgapiError(code, message, { cause })

export const badRequest = factory('BadRequestError')
export const downloadFailed = factory('Download')
export const imageFilesImmutable = factory('ImageFilesImmutable')
export const imageHasDependentImages = factory('ImageHasDependentImages')
export const imageNotShared = factory('ImageNotShared')
export const imageUuidAlreadyExists = factory('ImageUuidAlreadyExists')
export const internalError = factory('InternalError')
export const invalidArgument = factory('InvalidArgument')
export const invalidContent = factory('InvalidContent')
export const invalidVersion = factory('InvalidVersion')
export const missingParameter = factory('MissingParameter')
export const noActivationNoFile = factory('NoActivationNoFile')
export const notAvailable = factory('NotAvailable')
export const notFound = factory('ResourceNotFound')
export const notImageOwner = factory('NotImageOwner')
export const notImplemented = factory('NotImplemented')
export const payloadTooLarge = factory('PayloadTooLarge')
export const preconditionFailed = factory('PreconditionFailed')
export const remoteSourceError = factory('RemoteSourceError')
export const serviceUnavailable = factory('ServiceUnavailableError')
export const storageIsDown = factory('StorageIsDown')

/** `md5`: the value of `Content-MD5`. `actual`: that of the received bytes. */
export const badDigest = (md5: string, actual: string | undefined) =>
  new ImgapiError('BadDigest', `Content-MD5 '${md5}' didn't match '${actual}'`)

export const imageAlreadyActivated = (uuid: string) =>
  new ImgapiError('ImageAlreadyActivated', `image "${uuid}" is already activated`)

export const imageNotFound = (uuid: string) => notFound(`image ${uuid} not found`)

export const operatorOnly = () =>
  new ImgapiError('OperatorOnly', 'this endpoint may only be called by an operator')

export const originDoesNotExist = (origin: unknown) =>
  new ImgapiError('OriginDoesNotExist', `origin image "${origin}" does not exist`)

export const originIsNotActive = (origin: string) =>
  new ImgapiError('OriginIsNotActive', `origin image "${origin}" is not active`)

export const upload = (message: string, status = 400) => new ImgapiError('Upload', message, { status })

export const invalidParameters = (message: string, errors?: FieldError[]) =>
  new ImgapiError('InvalidParameter', message, { ...(errors && { errors }) })

export const invalidParameter = (field: string, message: string, code: FieldError['code'] = 'Invalid') =>
  invalidParameters(message, [{ field, code }])

/** Makes the error for keys of a body that the operation does not know, such as a typing error. */
export const extraParameters = (names: readonly string[]) =>
  invalidParameters(
    `invalid extra parameters: ${names.map(name => `"${name}"`).join(', ')}`,
    names.map(field => ({ field, code: 'Invalid' })),
  )

/** Makes the error for an invalid body or invalid parameters, with a message of its own. */
export const invalidData = (message: string, errors?: FieldError[]) =>
  new ImgapiError('ValidationFailed', message, { ...(errors && { errors }) })

/** Makes the error for invalid fields: `invalid image data: name, os`. `subject`: the text before the colon. */
export const validationFailed = (errors: FieldError[], subject = 'invalid image data') =>
  invalidData(`${subject}: ${errors.map(error => error.field).join(', ')}`, errors)

export const missingBody = () =>
  invalidData('missing request body', [{ field: 'body', code: 'MissingParameter' }])

/** `allowed`: the methods that the path has. */
export const methodNotAllowed = (method: string | undefined, allowed: readonly string[]) =>
  new ImgapiError('MethodNotAllowedError', `${method} is not allowed`, {
    headers: { Allow: allowed.join(', ') },
  })

export const notAcceptable = (message: string) =>
  new ImgapiError('NotAcceptable', message, { headers: { Vary: 'Accept' } })

/** `range`: the header as sent. `size`: bytes of the file. */
export const rangeNotSatisfiable = (range: string | undefined, size: number) =>
  new ImgapiError('RangeNotSatisfiable', `the range "${range}" is outside of the file's ${size} bytes`, {
    headers: { 'Content-Range': `bytes */${size}` },
  })

/** `seconds`: when to try again. */
export const tooManyRequests = (message: string, seconds: number) =>
  new ImgapiError('TooManyRequests', message, { headers: { 'Retry-After': String(seconds) } })

/** `challenge`: what the client may authenticate with, if it may at all. */
export const unauthorized = (message: string, challenge?: string) =>
  new ImgapiError('UnauthorizedError', message, {
    ...(challenge !== undefined && { headers: { 'WWW-Authenticate': challenge } }),
  })

const NO_SPACE = new Set(['ENOSPC', 'EDQUOT'])

/** Returns whether an error or one of its causes is a full disk or quota. */
export function isOutOfSpace(error: unknown): boolean {
  for (let one = error; one instanceof Error; one = one.cause) {
    if (NO_SPACE.has((one as NodeJS.ErrnoException).code ?? '')) return true
  }
  return false
}
