import { jsonResponse } from '../../http/respond.ts'
import { defineGateway, type Place } from '../gateway.ts'
import { MistifyConfig } from './config.ts'

/** The API of mistify-image-service, which serves images to the sub-agents of mistify-agent. */
export const mistify = defineGateway(MistifyConfig, (settings, house) => ({
  place: placeOf(settings),
  handle: async (_, exchange) =>
    jsonResponse(exchange, house.serverName, '{"message":"image not found"}', { status: 404 }),
  start: async () => {},
  stop: async () => {},
  health: async () => undefined,
}))

const placeOf = ({ port, prefix, address, tls }: MistifyConfig): Place =>
  port === undefined ? { prefix: prefix! } : { port, address, tls }
