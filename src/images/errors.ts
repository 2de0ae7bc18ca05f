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

export const imageNotFound = (uuid: string) => new ImgapiError('ResourceNotFound', `image ${uuid} not found`)

export const invalidParameter = (field: string, message: string, code: FieldError['code'] = 'Invalid') =>
  new ImgapiError('InvalidParameter', message, { errors: [{ field, code }] })

/** Makes the error for keys of a body that the operation does not know, such as a typing error. */
export const extraParameters = (names: readonly string[]) =>
  new ImgapiError(
    'InvalidParameter',
    `invalid extra parameters: ${names.map(name => `"${name}"`).join(', ')}`,
    { errors: names.map(field => ({ field, code: 'Invalid' })) },
  )

/** Makes the error for invalid fields: `invalid image data: name, os`. `subject`: the text before the colon. */
export const validationFailed = (errors: FieldError[], subject = 'invalid image data') =>
  new ImgapiError('ValidationFailed', `${subject}: ${errors.map(error => error.field).join(', ')}`, {
    errors,
  })

export const missingBody = () =>
  new ImgapiError('ValidationFailed', 'missing request body', {
    errors: [{ field: 'body', code: 'MissingParameter' }],
  })

export const upload = (message: string, status = 400) => new ImgapiError('Upload', message, { status })

export const storageIsDown = (message: string, cause?: unknown) =>
  new ImgapiError('StorageIsDown', message, { cause })

const NO_SPACE = new Set(['ENOSPC', 'EDQUOT'])

/** Returns whether an error or one of its causes is a full disk or quota. */
export function isOutOfSpace(error: unknown): boolean {
  for (let one = error; one instanceof Error; one = one.cause) {
    if (NO_SPACE.has((one as NodeJS.ErrnoException).code ?? '')) return true
  }
  return false
}
