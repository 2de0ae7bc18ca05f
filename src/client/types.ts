import type { RemoteFile } from '../images/fetched-file.ts'

/** The responses of servers. Optional fields are those that other implementations omit. */

export interface RemoteImage {
  uuid: string
  name: string
  version: string
  state?: string
  owner?: string
  os?: string
  type?: string
  origin?: string
  published_at?: string
  files?: RemoteFile[]
  [field: string]: unknown
}

export interface Pong {
  ping: string
  version?: string
  imgapi?: boolean
  pid?: number
  user?: string
}
