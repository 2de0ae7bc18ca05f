import { existsSync } from 'node:fs'
import { pino } from 'pino'
import type { ImgapiClient } from '../client/client.ts'
import type { MirrorPlan, MirrorRecord } from '../client/types.ts'
import type { Config } from '../config/config.ts'
import { openDatadir } from '../storage/local/datadir.ts'
import { FailedError } from './command.ts'
import { createImages, createMirrors } from './compose.ts'

/** Who runs mirrors for a command: a server, or the command itself in a data directory that no server uses. */
export interface MirrorRunner {
  plan(): Promise<MirrorPlan[]>
  /** Starts a run, if none is under way. */
  start(): Promise<unknown>
  /** How they are doing, with what they have done. */
  look(): Promise<MirrorRecord[]>
  /** What becomes of the run when the command is interrupted. */
  readonly whenInterrupted: string
  close(): Promise<void>
}

export const onServer = (client: ImgapiClient, source: string | undefined): MirrorRunner => ({
  plan: () => client.planMirrors(source),
  start: () => client.runMirrors(source),
  look: () => client.listMirrors({ source, actions: true }),
  whenInterrupted: 'the server goes on',
  close: async () => {},
})

/** Throws FailedError. */
export async function inDatadir(config: Config, source: string | undefined): Promise<MirrorRunner> {
  if (!existsSync(config.datadir)) throw new FailedError(`${config.datadir}: there is no such directory`)
  const asFailure = (error: unknown) => {
    throw new FailedError((error as Error).message)
  }
  const datadir = await openDatadir(config.datadir).catch(asFailure)
  // What happens is in the report of the command.
  const log = pino({ level: 'silent' })
  const mirrors = createMirrors(config, datadir, createImages(config, datadir), log)
  const look = async () => mirrors.describe({ actions: true, source }) as unknown as MirrorRecord[]
  const close = async () => {
    await mirrors.close()
    await datadir.close()
  }
  try {
    await mirrors.load()
    // For a source that is none.
    await look()
  } catch (error) {
    await close()
    throw asFailure(error)
  }
  return {
    plan: () => mirrors.plan(source).catch(asFailure),
    start: async () => {
      void mirrors.run(source)
    },
    look,
    whenInterrupted: 'run it again to go on',
    close,
  }
}
