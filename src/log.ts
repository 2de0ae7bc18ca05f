import { hostname } from 'node:os'
import { type DestinationStream, type Logger, pino } from 'pino'
import { prettyFactory } from 'pino-pretty'
import { LogOutput } from './log-output.ts'

export interface Logging {
  log: Logger
  logOutput: LogOutput
}

/**
 * The log: one JSON object a line on stdout, in the shape that the `bunyan` reader of SmartOS expects, or
 * lines for people when stdout is a terminal. An output that cannot be written costs lines and nothing else.
 */
export function createLog(level: string): Logging {
  // Asking Node for it is also what makes a pipe or a socket return at once when it is full.
  const format = formatFor(process.stdout)
  const logOutput = new LogOutput({
    fd: 1,
    onRecovery: (lost, reason) => log.error({ lost }, `${lost} log lines were lost: ${reason}`),
  })
  const log = pino(
    {
      level,
      base: { name: 'imgapi', hostname: hostname(), pid: process.pid, v: 0 },
      timestamp,
    },
    { write: line => logOutput.write(format(line)) },
  )
  return { log, logOutput }
}

let lastTime = 0
let lastTimestamp = ''

/** The time as ISO text, which costs enough to be made once a millisecond. */
function timestamp() {
  const now = Date.now()
  if (now !== lastTime) {
    lastTime = now
    lastTimestamp = `,"time":"${new Date(now).toISOString()}"`
  }
  return lastTimestamp
}

/**
 * Writes lines of level info whose fields are JSON text already (`"a":1,"b":"x"`). The line of every request is
 * put together so: it takes half the time that pino needs for objects within objects.
 */
export function lineWriter(log: Logger): (fields: string, message: string) => void {
  // Public names of pino's for where its lines go, and for what stands in each.
  const { streamSym, chindingsSym } = pino.symbols as unknown as Record<string, keyof Logger>
  const stream = log[streamSym!] as unknown as DestinationStream
  const bindings = log[chindingsSym!] as unknown as string
  return (fields, message) => {
    if (!log.isLevelEnabled('info')) return
    stream.write(`{"level":30${timestamp()}${bindings},${fields},"msg":${JSON.stringify(message)}}\n`)
  }
}

/** For `bunyan`, or for people where that is a terminal. A transport of pino's would need files beside the program. */
function formatFor({ isTTY }: NodeJS.WriteStream): (line: string) => string {
  return isTTY ? prettyFactory({ ignore: 'name,hostname,pid,v', singleLine: true }) : line => line
}
