import type { Logger } from 'pino'
import type { Authenticator } from '../auth/authenticator.ts'
import type { Images } from '../images/images.ts'

/** Everything that the routes work with. */
export interface Service {
  images: Images
  auth: Authenticator
  log: Logger
  /** Value of the `Server` header. */
  serverName: string
}
