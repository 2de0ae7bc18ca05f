import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { circleMessage, findCircles } from '../../images/origins.ts'
import type { Files, Locks, Manifests } from '../../images/ports.ts'
import type { JobStore } from '../../jobs/job.ts'
import type { MirrorStore } from '../../mirror/record.ts'
import { guard } from '../guard.ts'
import { LocalLocks } from '../locks.ts'
import { LocalFiles } from './files.ts'
import { LocalJobs } from './jobs.ts'
import { cachePath, layoutOf } from './layout.ts'
import { emptyFolder, loadDatadir } from './load.ts'
import { lockDatadir } from './lock.ts'
import { LocalManifests } from './manifests.ts'
import { LocalMirrors } from './mirrors.ts'
import { sweepLeftovers } from './sweep.ts'

/** Milliseconds that a start waits for leftovers to be swept; with few images that is all of them. */
const SWEEP_PATIENCE = 50

/** An open data directory: the storage of a server that needs nothing but a disk. */
export interface Datadir {
  manifests: Manifests
  files: Files
  locks: Locks
  jobs: JobStore
  mirrors: MirrorStore
  /** How many images were found. */
  count: number
  /** Images that cannot be served or installed, each in a sentence. */
  problems: string[]
  /** Waits for nothing: the caller has stopped what uses it. */
  close(): Promise<void>
}

/** Throws an error for the operator if another server has it or it cannot be read. */
export async function openDatadir(root: string): Promise<Datadir> {
  const layout = layoutOf(root)
  const lock = await lockDatadir(layout.lock)
  try {
    const loaded = loadDatadir(layout)
    const manifests = new LocalManifests(layout, loaded)
    for (const { image } of loaded.images) {
      const before = loaded.replacements.get(image.uuid)
      if (before) await manifests.finishReplacement(image, before)
    }
    const replaced = new Set(loaded.replacements.values())
    const images = loaded.images.filter(({ image }) => !replaced.has(image.uuid))
    const closing = new AbortController()
    const find = (uuid: string) => manifests.peek(uuid)
    const uuids = images.map(({ image }) => image.uuid)
    const swept = sweepLeftovers(layout, uuids, find, closing.signal)
    await Promise.race([swept, sleep(SWEEP_PATIENCE, undefined, { ref: false })])
    const files = new LocalFiles(layout)
    for (const { image } of images) {
      for (const file of image.files) {
        if (!file.md5 && !existsSync(cachePath(layout, image.uuid))) files.wantMd5(image.uuid, file)
      }
    }
    const damaged = images.flatMap(({ damage }) => (damage ? [damage] : []))
    const circles = findCircles(images.map(({ image }) => image)).map(circleMessage)
    return {
      manifests: guard(manifests),
      files: guard(files),
      locks: new LocalLocks(),
      jobs: new LocalJobs(layout),
      mirrors: new LocalMirrors(layout),
      count: manifests.count,
      problems: [...loaded.unreadable.values(), ...damaged, ...circles],
      close: async () => {
        closing.abort()
        await swept
        await files.close()
        lock.release()
        emptyFolder(layout.tmp)
      },
    }
  } catch (error) {
    lock.release()
    throw error
  }
}
