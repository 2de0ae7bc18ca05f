import { resolveChannel } from '../../images/visibility.ts'
import { defineGateway, type Place } from '../gateway.ts'
import { createMistifyApp } from './app.ts'
import { MistifyConfig } from './config.ts'

/** The API of mistify-image-service, which serves images to the sub-agents of mistify-agent. */
export const mistify = defineGateway(MistifyConfig, (settings, context) => ({
  place: placeOf(settings),
  handle: createMistifyApp(settings, context),
  // Its protocol has no channels: it speaks of the default one.
  start: async () => void resolveChannel(context.images.policy, undefined, false),
  // Its fetches are jobs of the server, and its images images.
  stop: async () => {},
  health: async () => undefined,
}))

const placeOf = ({ port, prefix, address, tls }: MistifyConfig): Place =>
  port === undefined ? { prefix: prefix! } : { port, address, tls }
