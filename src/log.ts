import { hostname } from 'node:os'
import { type Logger, pino } from 'pino'
import { prettyFactory } from 'pino-pretty'
import { LogOutput } from './log-output.ts'

export interface Logging {
  log: Logger
  logOutput: LogOutput
}

/**
 * Creates the log: one JSON object per line on stdout, in the format of the `bunyan` reader of SmartOS, or readable
 * lines if stdout is a terminal. If stdout cannot be written, lines are lost, but the server continues.
 */
export function createLog(level: string): Logging {
  // Reading `process.stdout` also makes Node switch a pipe or a socket to non-blocking mode.
  const format = formatFor(process.stdout)
  const logOutput = new LogOutput({
    fd: 1,
    onRecovery: (lost, reason) => log.error({ lost }, `${lost} log lines were lost: ${reason}`),
  })
  const log = pino(
    {
      level,
      base: { name: 'imgapi', hostname: hostname(), pid: process.pid, v: 0 },
      timestamp: timestamps(),
    },
    { write: line => logOutput.write(format(line)) },
  )
  return { log, logOutput }
}

/** Returns a function that gives the time as ISO text, cached for each millisecond: the conversion is expensive. */
function timestamps(): () => string {
  let lastTime = 0
  let lastTimestamp = ''
  return () => {
    const now = Date.now()
    if (now !== lastTime) {
      lastTime = now
      lastTimestamp = `,"time":"${new Date(now).toISOString()}"`
    }
    return lastTimestamp
  }
}

/** Returns the format for a terminal, or for `bunyan`. A transport of pino would need files next to the program. */
function formatFor({ isTTY }: NodeJS.WriteStream): (line: string) => string {
  return isTTY ? prettyFactory({ ignore: 'name,hostname,pid,v', singleLine: true }) : line => line
}
