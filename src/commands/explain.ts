import { ClientError } from '../client/client-error.ts'
import { WrongFileError } from '../client/fetch-file.ts'
import { TargetError } from '../client/target.ts'
import { fullMessage } from '../images/errors.ts'
import { SourceError } from '../sources/http-client.ts'
import { EXIT, FailedError, UsageError } from './command.ts'

/** Errors for people: one line that says what happened, where, and what to do. */

interface Situation {
  verbose: boolean
  isInterrupted: boolean
}

export function explain(error: unknown, { verbose, isInterrupted }: Situation): unknown {
  if (error instanceof FailedError || error instanceof UsageError) return error
  if (isInterrupted) return new FailedError('interrupted', EXIT.interrupted)
  if (error instanceof ClientError) {
    return new FailedError([describe(error), ...(verbose ? details(error) : [])].join('\n'), exitCode(error))
  }
  if (error instanceof TargetError) return new UsageError(error.message)
  if (error instanceof SourceError) {
    const code = error.status === 404 ? EXIT.notFound : EXIT.failed
    const hint = error.status === undefined ? '; run it again to go on from there' : ''
    return new FailedError(error.message + hint, code)
  }
  if (error instanceof WrongFileError) return new FailedError(`${error.message}; nothing was kept`)
  const isOfSystem = typeof (error as NodeJS.ErrnoException)?.syscall === 'string'
  return isOfSystem ? new FailedError((error as Error).message) : error
}

const exitCode = ({ isNotFound }: ClientError) => (isNotFound ? EXIT.notFound : EXIT.failed)

/** `https://images.example.com/images: image name is too long (ValidationFailed): shorten it` */
export function describe(error: ClientError): string {
  const { origin, pathname } = new URL(error.url)
  const said = fullMessage(error).replace(/\s*\n\s*/g, ' ')
  const hint = hintFor(error)
  return `${origin}${pathname}: ${said} (${error.code})${hint ? `; ${hint}` : ''}`
}

const HINTS: Record<string, string> = {
  UnauthorizedError:
    'set IMGAPI_USER and IMGAPI_PASSWORD (or IMGAPI_IDENTITY), or put user:password@ into the URL',
  TooManyRequests: 'wait a minute, and check the password',
  ImageUuidAlreadyExists: '`imgapi get UUID` shows the image that is there',
  ImageHasDependentImages: '`imgapi tree UUID` shows them; delete those first',
  NoActivationNoFile: 'add one with `imgapi add-file UUID -f FILE`',
  ImageFilesImmutable: 'an activated image keeps its file: publish the new one under another UUID',
  OriginDoesNotExist: 'publish or import its origin first',
  StorageIsDown: 'look at the disk of the server',
  Redirect: 'name that URL with --url',
  ECONNREFUSED: 'no server listens there: start it, or name another with --url',
  ENOTFOUND: 'there is no such host: check the URL',
  EAI_AGAIN: 'the name could not be looked up: check the network',
  ECONNRESET: 'the server ended the connection; try again',
  UND_ERR_SOCKET: 'the server ended the connection; try again',
  EPIPE: 'the server ended the connection; try again',
  UND_ERR_CONNECT_TIMEOUT: 'the host does not answer: check the URL and the network',
  UND_ERR_BODY_TIMEOUT: 'nothing came for a minute; try again',
}

function hintFor({ code, status }: ClientError): string | undefined {
  if (/CERT|SELF_SIGNED|UNABLE_TO_/.test(code)) {
    return 'trust it with NODE_EXTRA_CA_CERTS=FILE, or any certificate with IMGAPI_INSECURE=1'
  }
  if (/WRONG_VERSION_NUMBER|HPE_INVALID/.test(code)) return 'http or https? Try the other in the URL'
  if (code === 'HttpError' && status === 404) return 'is this the URL of an image server?'
  return Object.hasOwn(HINTS, code) ? HINTS[code] : undefined
}

/** For -v: what to look for in the log of the server, and what it answered. */
function details({ method, url, status, requestId, body }: ClientError): string[] {
  return [
    `request: ${method} ${url}`,
    ...(requestId ? [`request id: ${requestId}`] : []),
    ...(status === undefined ? ['there was no answer'] : [`answer: ${status} ${(body ?? '').trim()}`]),
  ]
}
