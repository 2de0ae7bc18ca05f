/** How requests reach a server of the Image API: with which connections, credentials, limits and errors. */
export interface Transport<R extends ApiRequest = ApiRequest> {
  /** Sends a request and reads the answer, of any status, to its end. Throws an error of the transport's kind. */
  exchange(request: R): Promise<ApiAnswer>
  /**
   * Makes an error of the transport's kind for an answer that cannot be used. `problem` completes a sentence about the
   * server: `does not answer with JSON`; without it the status says what is wrong.
   */
  answerError(request: R, answer: ApiAnswer, problem?: string): Error
}

/** A GET request, unless the transport knows others. */
export interface ApiRequest {
  url: URL
  signal?: AbortSignal | undefined
  /** Bytes of the longest body that is read. */
  longest: number
}

export interface ApiAnswer {
  status: number
  headers: Record<string, string | string[] | undefined>
  body: string
}

/** Bytes. Some servers have no paging, and their manifests have a few kilobytes each. */
export const LONGEST_LIST = 256 * 1024 * 1024

/** The headers of every request for JSON. */
export const API_HEADERS = { accept: 'application/json', 'accept-version': '~2' }

/** Sends a request. Throws an error of the transport's kind, also for an answer without success. */
export async function exchange<R extends ApiRequest>(
  transport: Transport<R>,
  request: R,
): Promise<ApiAnswer> {
  const answer = await transport.exchange(request)
  if (answer.status < 200 || answer.status >= 300) throw transport.answerError(request, answer)
  return answer
}

/**
 * Sends a request and parses the answer. `findProblem` returns why the value is not the expected one. Throws an error of
 * the transport's kind.
 */
export async function exchangeJson<R extends ApiRequest>(
  transport: Transport<R>,
  request: R,
  findProblem: (value: unknown) => string | undefined = () => undefined,
): Promise<unknown> {
  const answer = await exchange(transport, request)
  let value: unknown
  try {
    value = JSON.parse(answer.body)
  } catch {
    throw transport.answerError(request, answer, 'does not answer with JSON')
  }
  const problem = findProblem(value)
  if (problem !== undefined) throw transport.answerError(request, answer, problem)
  return value
}
