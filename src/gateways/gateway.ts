import type { z } from 'zod'
import type { Handler } from '../http/server.ts'
import type { Service } from '../http/service.ts'

/** Another protocol over the same images: its own routes and names, in a folder of its own. */
export interface Gateway {
  readonly place: Place
  readonly handle: Handler
  /** Before the first request. Rejects with an error for the operator if it cannot work. */
  start(): Promise<void>
  /** After the last request. */
  stop(): Promise<void>
  /** What keeps it from working, in a sentence for the operator; undefined if nothing does. */
  health(): Promise<string | undefined>
}

/** Where clients reach it: at a port of its own, or below a path of the server's own port. */
export type Place = OwnPort | { prefix: string }

export interface OwnPort {
  port: number
  /** Undefined is the server's own. */
  address?: string | undefined
  /** Whether it speaks HTTPS, with the certificate of the server. */
  tls: boolean
}

/** What a gateway is made from. */
export interface GatewayContext extends Omit<Service, 'gateways'> {
  datadir: string
  /** Value of the `Server` header, and of `User-Agent` where the gateway is a client. */
  serverName: string
  /** A path in the config, which counts from the folder of the config file. */
  resolve(path: string): string
}

/** A kind of gateway, as the registry knows it. */
export interface GatewayKind {
  /** Of its key below `gateways` in the config; with a description. */
  readonly schema: z.ZodType
  /** Makes it; opens and starts nothing yet. Throws an error for the operator. */
  open(settings: unknown, context: GatewayContext): Gateway
}

/** Ties the schema of its settings to the gateway that is made from them. */
export const defineGateway = <T extends z.ZodType>(
  schema: T,
  open: (settings: z.output<T>, context: GatewayContext) => Gateway,
): GatewayKind => ({ schema, open: (settings, context) => open(settings as z.output<T>, context) })
