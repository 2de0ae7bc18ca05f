import type { Policy } from '../../images/images.ts'
import { OperatorError } from '../../util/operator-error.ts'
import { defineGateway, type Place } from '../gateway.ts'
import { createMistifyApp } from './app.ts'
import { MistifyConfig } from './config.ts'

/** The API of mistify-image-service, which serves images to the sub-agents of mistify-agent. */
export const mistify = defineGateway(MistifyConfig, (settings, context) => ({
  place: placeOf(settings),
  handle: createMistifyApp(settings, context),
  start: async () => requireDefaultChannel(context.images.policy),
  // Fetches are jobs of the server, so the gateway itself has nothing to stop.
  stop: async () => {},
  health: async () => undefined,
}))

/** Throws OperatorError: the protocol has no channels, so the gateway needs a default one. */
function requireDefaultChannel({ channels }: Policy) {
  if (channels.length === 0 || channels.some(channel => channel.default)) return
  throw new OperatorError('the protocol has no channels, and the config has no default channel')
}

const placeOf = ({ port, prefix, address, tls }: MistifyConfig): Place =>
  port === undefined ? { prefix: prefix! } : { port, address, tls }
