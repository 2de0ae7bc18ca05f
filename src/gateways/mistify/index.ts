import { resolveChannel } from '../../images/visibility.ts'
import { defineGateway, type Place } from '../gateway.ts'
import { createMistifyApp } from './app.ts'
import { MistifyConfig } from './config.ts'

/** The API of mistify-image-service, which serves images to the sub-agents of mistify-agent. */
export const mistify = defineGateway(MistifyConfig, (settings, context) => ({
  place: placeOf(settings),
  handle: createMistifyApp(settings, context),
  // The protocol has no channels, so the gateway needs a default one.
  start: async () => void resolveChannel(context.images.policy, undefined, false),
  // Fetches are jobs of the server, so the gateway itself has nothing to stop.
  stop: async () => {},
  health: async () => undefined,
}))

const placeOf = ({ port, prefix, address, tls }: MistifyConfig): Place =>
  port === undefined ? { prefix: prefix! } : { port, address, tls }
