import { existsSync } from 'node:fs'
import { pino } from 'pino'
import type { ImgapiClient } from '../client/client.ts'
import type { Config } from '../config/config.ts'
import type { MirrorPlan, MirrorStatus } from '../imports/mirror/status.ts'
import { openDatadir } from '../storage/local/datadir.ts'
import { OperatorError } from '../util/operator-error.ts'
import { createImages, createMirrors } from './compose.ts'

/** Runs mirrors for a command: on a server, or in the process itself on a data directory that no server uses. */
export interface MirrorRunner {
  plan(): Promise<MirrorPlan[]>
  /** Starts a run, if none is under way. */
  start(): Promise<unknown>
  /** Resolves to the state of the mirrors, with the actions of their run. */
  status(): Promise<MirrorStatus[]>
  /** What happens to the run when the command is interrupted. */
  readonly whenInterrupted: string
  close(): Promise<void>
}

/** Runs mirrors on a server. */
export const onServer = (client: ImgapiClient, source: string | undefined): MirrorRunner => ({
  plan: () => client.planMirrors(source),
  start: () => client.runMirrors(source),
  status: () => client.listMirrors({ source, actions: true }),
  whenInterrupted: 'the server continues',
  close: async () => {},
})

/** Opens the data directory and runs mirrors in this process. Throws OperatorError. */
export async function inDatadir(config: Config, source: string | undefined): Promise<MirrorRunner> {
  if (!existsSync(config.datadir)) throw new OperatorError(`${config.datadir}: no such directory`)
  const datadir = await openDatadir(config.datadir)
  // The command reports what happens.
  const log = pino({ level: 'silent' })
  const mirrors = createMirrors(config, datadir, createImages(config, datadir), log)
  const status = async () => mirrors.describe({ actions: true, source })
  const close = async () => {
    await mirrors.close()
    await datadir.close()
  }
  try {
    await mirrors.load()
    // Throws for a source that is not configured.
    await status()
  } catch (error) {
    await close()
    throw error
  }
  return {
    plan: () => mirrors.plan(source),
    start: async () => {
      void mirrors.run(source)
    },
    status,
    whenInterrupted: 'run it again to resume',
    close,
  }
}
