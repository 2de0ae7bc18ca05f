import { ClientError } from '../client/client-error.ts'
import { WrongFileError } from '../client/fetch-file.ts'
import { fullMessage, ImgapiError } from '../images/errors.ts'
import { SourceError } from '../sources/http-client.ts'
import { EXIT, OperatorError } from '../util/operator-error.ts'

/** Words errors for the user: one line that says what happened, where, and what to do. */

interface Situation {
  verbose: boolean
  isInterrupted: boolean
}

/** Returns the OperatorError that words a failed request or fetch; any other error unchanged. */
export function explain(error: unknown, { verbose, isInterrupted }: Situation): unknown {
  if (error instanceof OperatorError) return error
  if (isInterrupted) return new OperatorError('interrupted', EXIT.interrupted)
  if (error instanceof ClientError) {
    return new OperatorError(
      [describe(error), ...(verbose ? details(error) : [])].join('\n'),
      exitCode(error),
    )
  }
  if (error instanceof SourceError) {
    const code = error.status === 404 ? EXIT.notFound : EXIT.failed
    const hint = error.status === undefined ? '; run it again to resume' : ''
    return new OperatorError(error.message + hint, code)
  }
  if (error instanceof WrongFileError) return new OperatorError(`${error.message}; the bytes were discarded`)
  // A rule of the server, when a command runs a part of it.
  return error instanceof ImgapiError ? new OperatorError(fullMessage(error)) : error
}

const exitCode = ({ isNotFound }: ClientError) => (isNotFound ? EXIT.notFound : EXIT.failed)

/** Describes a failed request: `https://images.example.com/images: invalid name (ValidationFailed); shorten it`. */
export function describe(error: ClientError): string {
  const { origin, pathname } = new URL(error.url)
  const message = fullMessage(error).replace(/\s*\n\s*/g, ' ')
  const hint = hintFor(error)
  return `${origin}${pathname}: ${message} (${error.code})${hint ? `; ${hint}` : ''}`
}

const HINTS: Record<string, string> = {
  UnauthorizedError:
    'set IMGAPI_USER and IMGAPI_PASSWORD (or IMGAPI_IDENTITY), or put user:password@ into the URL',
  TooManyRequests: 'wait a minute, and check the password',
  ImageUuidAlreadyExists: '`imgapi get UUID` shows the existing image',
  ImageHasDependentImages: '`imgapi tree UUID` shows them; delete those first',
  NoActivationNoFile: 'add one with `imgapi add-file UUID -f FILE`',
  ImageFilesImmutable: 'an activated image keeps its file: publish the new one under another UUID',
  OriginDoesNotExist: 'publish or import its origin first',
  StorageIsDown: 'check the disk of the server',
  Redirect: 'name that URL with --url',
  ECONNREFUSED: 'no server listens there: start it, or name another with --url',
  ENOTFOUND: 'no such host: check the URL',
  EAI_AGAIN: 'the host name could not be resolved: check the network',
  ECONNRESET: 'the server ended the connection; try again',
  UND_ERR_SOCKET: 'the server ended the connection; try again',
  EPIPE: 'the server ended the connection; try again',
  UND_ERR_CONNECT_TIMEOUT: 'the host does not answer: check the URL and the network',
  UND_ERR_BODY_TIMEOUT: 'no data arrived for a minute; try again',
}

function hintFor({ code, status }: ClientError): string | undefined {
  if (/CERT|SELF_SIGNED|UNABLE_TO_/.test(code)) {
    return 'trust it with NODE_EXTRA_CA_CERTS=FILE, or any certificate with IMGAPI_INSECURE=1'
  }
  if (/WRONG_VERSION_NUMBER|HPE_INVALID/.test(code)) return 'check whether the URL needs http or https'
  if (code === 'HttpError' && status === 404) return 'is this the URL of an image server?'
  return Object.hasOwn(HINTS, code) ? HINTS[code] : undefined
}

/** Returns the lines for `--verbose`: the request id, to find in the log of the server, and the response. */
function details({ method, url, status, requestId, body }: ClientError): string[] {
  return [
    `request: ${method} ${url}`,
    ...(requestId ? [`request id: ${requestId}`] : []),
    ...(status === undefined ? ['there was no answer'] : [`answer: ${status} ${(body ?? '').trim()}`]),
  ]
}
