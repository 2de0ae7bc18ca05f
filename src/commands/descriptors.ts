import type { Logger } from 'pino'
import { ConnectionLimit } from '../http/connection-limit.ts'

/** Files that an idle server has open, those of its threads included. */
const OWN = 34
/** Files of an import: a connection to the source, the partial file, and manifests with their folders. */
const PER_IMPORT = 5

/** Below this limit of requests the operator is warned. */
const FEW_REQUESTS = 64

/** Returns the number of files that this process may open. */
export function openFilesLimit(): number {
  const report = process.report.getReport() as unknown as {
    userLimits: { open_files: { soft: number | 'unlimited' } }
  }
  const { soft } = report.userLimits.open_files
  return soft === 'unlimited' ? Number.MAX_SAFE_INTEGER : soft
}

/**
 * Creates the limit of connections that leaves enough descriptors for storage, imports and mirrors. `concurrency`: the
 * most imports at once, and the most of mirrors at once. Logs a warning if few requests are possible.
 */
export function createConnectionLimit(openFiles: number, concurrency: number, log: Logger): ConnectionLimit {
  const limit = new ConnectionLimit(openFiles - OWN - 2 * concurrency * PER_IMPORT, message =>
    log.warn(message),
  )
  if (limit.requests < FEW_REQUESTS) {
    log.warn(
      `the process may open only ${openFiles} files, enough for ${limit.connections} connections and ${limit.requests} requests at once: raise the limit (ulimit -n)`,
    )
  }
  return limit
}
