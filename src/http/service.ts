import type { Logger } from 'pino'
import type { Authenticator } from '../auth/authenticator.ts'
import type { Images } from '../images/images.ts'
import type { Jobs } from '../imports/jobs/jobs.ts'
import type { LxdRegistry } from '../imports/lxd/settings.ts'
import type { Mirrors } from '../imports/mirror/mirrors.ts'
import type { HttpClient } from '../sources/http-client.ts'
import type { RetryPolicy } from '../sources/retry.ts'
import type { Accel } from './accel.ts'

/** What the operations of the Image API work with. */
export interface Service {
  images: Images
  auth: Authenticator
  jobs: Jobs
  mirrors: Mirrors
  /** The client for imports from other servers. */
  client: HttpClient
  retry: RetryPolicy
  log: Logger
  /** `lost`: the number of log lines that could not be written. */
  logOutput: { readonly lost: number }
  /** URL by which clients reach this server, if it is configured. */
  publicUrl?: string | undefined
  /** The front that sends the bytes of files instead of this server. */
  accel?: Accel | undefined
  /** The name of this datacenter, the URLs of the others by name, and the client for them. */
  datacenters: { own: string | undefined; urls: Readonly<Record<string, string>>; client: HttpClient }
  /** LXD image servers by name, and the client for them. */
  lxd: { registries: Readonly<Record<string, LxdRegistry>>; client: HttpClient }
  /** Returns what is wrong with the storage; undefined if it accepts writes. */
  storageProblem(): string | undefined
  /** Returns the state of each gateway by name: `ok`, or what is wrong. */
  gateways(): Promise<Record<string, string>>
}
