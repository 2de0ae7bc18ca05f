import type { Logger } from 'pino'
import type { Exchange } from './exchange.ts'

/** One line a request, when its answer is out or its connection is gone. */
export function logExchange(log: Logger, exchange: Exchange) {
  const { incoming, outgoing, id, route, user, bytes, error, started } = exchange
  const latency = Math.round((performance.now() - started) * 1000) / 1000
  const status = outgoing.headersSent ? outgoing.statusCode : 0
  const complete = outgoing.writableFinished
  const entry = {
    req_id: id,
    route,
    req: {
      method: incoming.method,
      url: redact(incoming.url ?? ''),
      remoteAddress: incoming.socket.remoteAddress,
    },
    res: { statusCode: status },
    latency,
    bytes,
    ...(user && { user }),
    ...(!complete && { incomplete: true }),
    ...(error !== undefined && { err: error }),
  }
  const message = `${incoming.method} ${route} ${complete ? status : `${status || 'no answer'} (broken off)`}`
  if (error !== undefined) log.error(entry, message)
  else log.info(entry, message)
}

/** URLs may carry credentials in a parameter that is a URL itself: all up to the last @ of its host part. */
const redact = (url: string) =>
  /\/\/|%2f/i.test(url) ? url.replace(/(\/\/|%2f%2f)(?:(?!%2f)[^/&;])*(@|%40)/gi, '$1***$2') : url
