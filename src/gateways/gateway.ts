import type { z } from 'zod'
import type { Handler } from '../http/server.ts'
import type { Service } from '../http/service.ts'

/** Serves the images in another protocol, with routes of its own. */
export interface Gateway {
  readonly place: Place
  readonly handle: Handler
  /** Starts the gateway before its first request. Throws OperatorError if it cannot work. */
  start(): Promise<void>
  /** Stops the gateway after its last request. */
  stop(): Promise<void>
  /** Resolves to a sentence for the operator if the gateway cannot work, else to undefined. */
  health(): Promise<string | undefined>
}

/** Where clients reach a gateway: at a port of its own, or below a path at the server's port. */
export type Place = OwnPort | { prefix: string }

export interface OwnPort {
  port: number
  /** Undefined: the address of the server. */
  address?: string | undefined
  /** Whether the port uses HTTPS, with the certificate of the server. */
  tls: boolean
}

/** The services of the server that a gateway uses. */
export interface GatewayContext extends Omit<Service, 'gateways'> {
  datadir: string
  /** Value of the `Server` header, and of `User-Agent` in requests of the gateway. */
  serverName: string
  /** Resolves a path in the config, relative to the folder of the config file. */
  resolve(path: string): string
}

/** A kind of gateway, as `registry.ts` lists it. */
export interface GatewayKind {
  /** Schema of its key below `gateways` in the config, with a description. */
  readonly schema: z.ZodType
  /** Creates a gateway without starting it. Throws OperatorError. */
  open(settings: unknown, context: GatewayContext): Gateway
}

/** Defines a kind of gateway with typed settings. */
export const defineGateway = <T extends z.ZodType>(
  schema: T,
  open: (settings: z.output<T>, context: GatewayContext) => Gateway,
): GatewayKind => ({ schema, open: (settings, context) => open(settings as z.output<T>, context) })
