import type { Logger } from 'pino'
import type { Authenticator } from '../auth/authenticator.ts'
import type { Images } from '../images/images.ts'
import type { Jobs } from '../imports/jobs/jobs.ts'
import type { LxdRegistry } from '../imports/lxd/settings.ts'
import type { Mirrors } from '../imports/mirror/mirrors.ts'
import type { HttpClient } from '../sources/http-client.ts'
import type { RetryPolicy } from '../sources/resumable.ts'
import type { Accel } from './accel.ts'

/** Everything that the routes work with. */
export interface Service {
  images: Images
  auth: Authenticator
  jobs: Jobs
  mirrors: Mirrors
  /** How this server fetches from others. */
  client: HttpClient
  retry: RetryPolicy
  log: Logger
  /** How many lines of the log could not be written. */
  logOutput: { readonly lost: number }
  /** URL by which clients reach this server, if the config says it. */
  publicUrl?: string | undefined
  /** The front that sends the bytes of files in our place. */
  accel?: Accel | undefined
  /** Other datacenters by name, the name of this one, and how they are reached. */
  datacenters: { own: string | undefined; urls: Readonly<Record<string, string>>; client: HttpClient }
  /** LXD image servers by name, and how they are reached. */
  lxd: { registries: Readonly<Record<string, LxdRegistry>>; client: HttpClient }
  /** What is wrong with the storage; undefined if it takes writes. */
  storageProblem(): string | undefined
  /** The other protocols that this server speaks, by name: `ok`, or what is wrong. */
  gateways(): Promise<Record<string, string>>
}
