import type { Logger } from 'pino'
import { ConnectionLimit } from '../http/connection-limit.ts'

/** How many files a process of this server has open that does nothing: its own and those of its threads. */
const OWN = 34
/** What an import takes: a connection to the source, the partial file, and manifests with their folders. */
const PER_IMPORT = 5

/** Few enough that an operator should know. */
const FEW_REQUESTS = 64

/** How many files this process may open. */
export function openFilesLimit(): number {
  const report = process.report.getReport() as unknown as {
    userLimits: { open_files: { soft: number | 'unlimited' } }
  }
  const { soft } = report.userLimits.open_files
  return soft === 'unlimited' ? Number.MAX_SAFE_INTEGER : soft
}

/**
 * The limit that leaves enough descriptors for storage, for imports and for what mirrors fetch; both run as many at
 * once as `concurrency` says.
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
