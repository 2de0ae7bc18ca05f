import { ImgapiError, storageIsDown } from '../images/errors.ts'
import type { Files, Locks, Manifests, ReceivedFile } from '../images/ports.ts'
import type { JobStore } from '../imports/jobs/job.ts'
import type { MirrorStore } from '../imports/mirror/record.ts'
import type { Health } from './health.ts'
import { UncertainChange } from './uncertain-change.ts'

/** The interface of a storage driver. */
export interface Storage {
  manifests: Manifests
  files: Files
  locks: Locks
  jobs: JobStore
  mirrors: MirrorStore
}

/** Explains system error codes to the operator. */
const REASONS: Record<string, string> = {
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EFBIG: 'the file is larger than the system allows',
  EROFS: 'the data directory is read-only',
  EACCES: 'the server may not write to its data directory',
  EPERM: 'the server may not write to its data directory',
  EIO: 'the disk reports an error',
  EMFILE: 'too many files are open',
  ENFILE: 'too many files are open',
}

/** Explains a system error; undefined for an error of the program itself, which has no `syscall`. */
function reasonOf(error: unknown): string | undefined {
  const { code = '', syscall } = (error ?? {}) as NodeJS.ErrnoException
  return REASONS[code] ?? (syscall === undefined ? undefined : `the system reports ${code} (${syscall})`)
}

/** Returns StorageIsDown for a system error, any other error unchanged. */
function named(error: unknown): unknown {
  if (error instanceof ImgapiError) return error
  const isUncertain = error instanceof UncertainChange
  const reason = reasonOf(isUncertain ? error.cause : error)
  if (!reason) return error
  const doubt = isUncertain ? '; the change may have happened all the same: it is safe to ask again' : ''
  return storageIsDown(`storage is down at the moment: ${reason}${doubt}`, error)
}

/**
 * Wraps a storage driver: system errors become StorageIsDown, and the result of each write is reported to
 * `health`.
 */
export function guard({ manifests, files, locks, jobs, mirrors }: Storage, health: Health): Storage {
  async function read<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      throw named(error)
    }
  }
  async function write<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      const problem = named(error)
      // An error of one image, such as a missing file, does not make the storage unhealthy.
      if (problem !== error) health.failed((problem as Error).message)
      throw problem
    }
  }
  /** Runs a write that is durable when it resolves, so its success proves the storage healthy. */
  async function commit<T>(work: () => Promise<T>): Promise<T> {
    const result = await write(work)
    health.succeeded()
    return result
  }
  const received = (file: ReceivedFile): ReceivedFile => ({
    size: file.size,
    sha1: file.sha1,
    md5: file.md5,
    attach: (uuid, kind, extension) => write(() => file.attach(uuid, kind, extension)),
    stage: (uuid, kind, extension) => write(() => file.stage(uuid, kind, extension)),
    discard: () => write(() => file.discard()),
  })
  return {
    manifests: {
      find: uuid => read(() => manifests.find(uuid)),
      list: query => read(() => manifests.list(query)),
      listChildren: uuid => read(() => manifests.listChildren(uuid)),
      insert: (image, replaces) => commit(() => manifests.insert(image, replaces)),
      replace: (next, revision) => commit(() => manifests.replace(next, revision)),
      remove: (uuid, revision) => commit(() => manifests.remove(uuid, revision)),
    },
    files: {
      receive: (source, options) => write(async () => received(await files.receive(source, options))),
      resume: (name, open, options) => write(async () => received(await files.resume(name, open, options))),
      forget: name => write(() => files.forget(name)),
      duplicate: (uuid, file) => write(async () => received(await files.duplicate(uuid, file))),
      open: (uuid, file) => read(() => files.open(uuid, file)),
      md5: (uuid, file) => read(() => files.md5(uuid, file)),
      remove: (uuid, file) => write(() => files.remove(uuid, file)),
    },
    locks: {
      tryAcquire: name => read(() => locks.tryAcquire(name)),
      acquire: (name, signal) => read(() => locks.acquire(name, signal)),
    },
    jobs: {
      list: () => read(() => jobs.list()),
      save: job => commit(() => jobs.save(job)),
      has: uuid => read(() => jobs.has(uuid)),
      remove: uuid => commit(() => jobs.remove(uuid)),
      sweep: isWanted => write(() => jobs.sweep(isWanted)),
    },
    mirrors: {
      load: source => read(() => mirrors.load(source)),
      save: record => commit(() => mirrors.save(record)),
    },
  }
}
