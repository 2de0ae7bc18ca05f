import type { Logger } from 'pino'
import { lineWriter } from '../log.ts'
import type { Exchange } from './exchange.ts'

/** Returns a function that logs one line for an exchange, when its answer is sent or its connection is closed. */
export function accessLog(log: Logger): (exchange: Exchange) => void {
  const writeLine = lineWriter(log)
  return exchange => {
    const { incoming, outgoing, route, error } = exchange
    const isComplete = outgoing.writableFinished
    const status = outgoing.headersSent ? outgoing.statusCode : 0
    const outcome = isComplete ? status : `${status || 'no answer'} (broken off)`
    const message = `${incoming.method} ${route} ${outcome}`
    const fields = fieldsOf(exchange, status, isComplete)
    if (error === undefined) writeLine(fields, message)
    else log.error({ ...JSON.parse(`{${fields}}`), err: error }, message)
  }
}

/** Returns the fields as JSON without the braces. */
function fieldsOf(
  { incoming, id, route, user, bytes, started }: Exchange,
  status: number,
  isComplete: boolean,
): string {
  const latency = Math.round((performance.now() - started) * 1000) / 1000
  const url = JSON.stringify(redact(incoming.url ?? ''))
  const address = incoming.socket.remoteAddress
  const from = address === undefined ? '' : `,"remoteAddress":"${address}"`
  const request = `{"method":"${incoming.method}","url":${url}${from}}`
  const login = user === undefined ? '' : `,"user":${JSON.stringify(user)}`
  const broken = isComplete ? '' : ',"incomplete":true'
  return `"req_id":${JSON.stringify(id)},"route":"${route}","req":${request},"res":{"statusCode":${status}},"latency":${latency},"bytes":${bytes}${login}${broken}`
}

/**
 * Hides the credentials in a URL: the parameter `secret`, and the user info of a parameter that is a URL itself, which
 * is all up to the last @ of the host part.
 */
const redact = (url: string) => {
  const shown = url.replace(/([?&]secret=)[^&]*/g, '$1***')
  return /\/\/|%2f/i.test(shown)
    ? shown.replace(/(\/\/|%2f%2f)(?:(?!%2f)[^/&;])*(@|%40)/gi, '$1***$2')
    : shown
}
