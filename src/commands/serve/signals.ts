import type { Logger } from 'pino'

/**
 * Installs the handlers of SIGTERM and SIGINT. Resolves at the first of these signals; a second one ends the process
 * at once, with exit code 1.
 */
export function stopSignal(log: Logger): Promise<void> {
  return new Promise(resolve => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        log.info(`${signal}: finishing what is under way; once more to stop at once`)
        process.once(signal, () => process.exit(1))
        resolve()
      })
    }
  })
}

/**
 * Installs the handler of SIGHUP, which would end the process otherwise. Returns a function that sets what the signal
 * does; until then it is ignored.
 */
export function reloadSignal(): (reload: () => void) => void {
  let onSignal = () => {}
  process.on('SIGHUP', () => onSignal())
  return reload => {
    onSignal = reload
  }
}
