import type { ApiRequest } from './api-request.ts'

/** One operation of the Image API. */
export interface Operation {
  /** As the Image API names it; the name in the log. */
  name: string
  method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** With `:uuid` for an image. */
  path: string
  handle(request: ApiRequest): Promise<Response>
}
