import { ImgapiError, storageIsDown } from '../images/errors.ts'
import type { Files, Locks, Manifests, ReceivedFile } from '../images/ports.ts'
import type { JobStore } from '../imports/jobs/job.ts'
import type { MirrorStore } from '../imports/mirror/record.ts'
import type { Health } from './health.ts'
import { UncertainChange } from './uncertain-change.ts'

/** What a storage driver has to offer. */
export interface Storage {
  manifests: Manifests
  files: Files
  locks: Locks
  jobs: JobStore
  mirrors: MirrorStore
}

/** What the operator must know of errors that the system gives, whichever driver met them. */
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

/** Another error of the system has a call with it, which no error of the program has. */
function reasonOf(error: unknown): string | undefined {
  const { code = '', syscall } = (error ?? {}) as NodeJS.ErrnoException
  return REASONS[code] ?? (syscall === undefined ? undefined : `the system reports ${code} (${syscall})`)
}

/** An error in the words of the Image API. */
function named(error: unknown): unknown {
  if (error instanceof ImgapiError) return error
  const isUncertain = error instanceof UncertainChange
  const reason = reasonOf(isUncertain ? error.cause : error)
  if (!reason) return error
  const doubt = isUncertain ? '; the change may have happened all the same: it is safe to ask again' : ''
  return storageIsDown(`storage is down at the moment: ${reason}${doubt}`, error)
}

/**
 * Every driver goes behind this: its errors come out in the words of the Image API, and its writes say how healthy
 * it is.
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
      // What is wrong with one image, as a missing file, is not wrong with the storage.
      if (problem !== error) health.failed((problem as Error).message)
      throw problem
    }
  }
  /** A write that is durable when it resolves: whatever was wrong is over. */
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
