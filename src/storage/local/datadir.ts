import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { circleMessage, findCircles } from '../../images/origins.ts'
import { guard, type Storage } from '../guard.ts'
import { Health } from '../health.ts'
import { LocalLocks } from '../locks.ts'
import { allClosed, makeFolderNow, replaceFile } from './durable.ts'
import { LocalFiles } from './files.ts'
import { LocalJobs } from './jobs.ts'
import { cachePath, type Layout, layoutOf, temporaryPath } from './layout.ts'
import { emptyFolder, loadDatadir } from './load.ts'
import { lockDatadir } from './lock.ts'
import { LocalManifests } from './manifests.ts'
import { LocalMirrors } from './mirrors.ts'
import { sweepLeftovers } from './sweep.ts'

/** Milliseconds that a start waits for the sweep, which is long enough for all of a small data directory. */
const SWEEP_PATIENCE = 50

/** An open data directory, which stores everything on the local disk. */
export interface Datadir extends Storage {
  health: Health
  /** How many images were loaded. */
  count: number
  /** One sentence for each image that cannot be served or installed. */
  problems: string[]
  /** Releases the data directory. The caller must have stopped all work on it. */
  close(): Promise<void>
}

/** Locks and loads a data directory. Throws OperatorError if it is in use or cannot be read. */
export async function openDatadir(root: string): Promise<Datadir> {
  const layout = layoutOf(root)
  makeFolderNow(root)
  const lock = await lockDatadir(layout.lock)
  try {
    const loaded = loadDatadir(layout)
    const manifests = new LocalManifests(layout, loaded)
    for (const { image } of loaded.images) {
      const before = loaded.replacements.get(image.uuid)
      if (before) await manifests.finishReplacement(image.uuid, before)
    }
    const replaced = new Set(loaded.replacements.values())
    const images = loaded.images.filter(({ image }) => !replaced.has(image.uuid))
    const closing = new AbortController()
    const find = (uuid: string) => manifests.getCached(uuid)
    const uuids = images.map(({ image }) => image.uuid)
    const swept = sweepLeftovers(layout, uuids, find, closing.signal)
    await Promise.race([swept, sleep(SWEEP_PATIENCE, undefined, { ref: false })])
    const files = new LocalFiles(layout, (uuid, name) => manifests.names(uuid, name))
    for (const { image } of images) {
      for (const file of image.files) {
        if (!file.md5 && !existsSync(cachePath(layout, image.uuid))) files.scheduleMd5(image.uuid, file)
      }
    }
    const damaged = images.flatMap(({ damage }) => (damage ? [damage] : []))
    const circles = findCircles(images.map(({ image }) => image)).map(circleMessage)
    const health = new Health(() => writeProbe(layout))
    const drivers = {
      ...{ manifests, files, locks: new LocalLocks() },
      ...{ jobs: new LocalJobs(layout), mirrors: new LocalMirrors(layout) },
    }
    return {
      ...guard(drivers, health),
      health,
      count: manifests.count,
      problems: [...loaded.unreadable.values(), ...damaged, ...circles],
      close: async () => {
        closing.abort()
        health.close()
        await swept
        await files.close()
        await allClosed()
        lock.release()
        emptyFolder(layout.tmp)
      },
    }
  } catch (error) {
    lock.release()
    throw error
  }
}

/** Writes a file durably and removes it again. */
async function writeProbe(layout: Layout) {
  const path = temporaryPath(layout)
  await replaceFile(path, temporaryPath(layout), 'a probe of the disk\n')
  await rm(path, { force: true })
}
