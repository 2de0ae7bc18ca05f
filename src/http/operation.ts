import type { ApiRequest } from './api-request.ts'
import type { Service } from './service.ts'

/** One operation of the Image API. */
export interface Operation {
  /** As the Image API names it; the name in the log. */
  name: string
  method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** With `:uuid` for an image. */
  path: string
  /** Whether a server that is set up like this has it at all; absent is always. */
  isOffered?(service: Service): boolean
  handle(request: ApiRequest): Promise<Response>
}
