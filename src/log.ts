import { hostname } from 'node:os'
import { type DestinationStream, type Logger, pino } from 'pino'
import pretty from 'pino-pretty'

/**
 * The log: one JSON object a line on stdout, in the shape that the `bunyan` reader of SmartOS expects, or
 * lines for people when stdout is a terminal.
 */
export function createLog(level: string): Logger {
  return pino(
    {
      level,
      base: { name: 'imgapi', hostname: hostname(), pid: process.pid, v: 0 },
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
    },
    destination(),
  )
}

// A transport of pino's would need files beside the program; streams keep it one file.
function destination(): DestinationStream {
  if (process.stdout.isTTY) return pretty({ sync: true, ignore: 'name,hostname,pid,v', singleLine: true })
  // Written while the next lines come in, which then go out together.
  return pino.destination({ dest: 1, sync: false })
}
