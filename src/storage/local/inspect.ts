import { createHash } from 'node:crypto'
import { existsSync, lstatSync, readdirSync, statSync } from 'node:fs'
import { mkdir, rename } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ImgapiError } from '../../images/errors.ts'
import { isUuid } from '../../images/fields.ts'
import type { Image, StoredFile } from '../../images/image.ts'
import { circleMessage, findCircles } from '../../images/origins.ts'
import type { Versioned } from '../../images/ports.ts'
import { type ManifestRules, validateManifest } from '../../images/validate.ts'
import { NotRegularError, openRegular } from '../../util/regular-file.ts'
import { commit, syncFolder } from './durable.ts'
import {
  filePath,
  folderOf,
  type Layout,
  layoutOf,
  MANIFEST,
  manifestPath,
  OPERATORS_FOLDERS,
} from './layout.ts'
import { readImages } from './load.ts'
import { isLocked } from './lock.ts'

/** Checks a data directory from outside the server: for missing, damaged and unused files. */

/** A problem that `imgapi check` reports. */
export interface Problem {
  /** The UUID of the image, or a path relative to the data directory that belongs to no image. */
  subject: string
  kind: 'manifest' | 'file' | 'origin' | 'orphan'
  message: string
  /** An unused path, which may be moved aside. */
  stray?: string | undefined
}

export interface Inspection {
  images: number
  /** Bytes that were read and hashed. */
  bytes: number
  problems: Problem[]
}

const PIECE = 1024 * 1024
/** Milliseconds between two looks. */
const INTERVAL = 300
/** Milliseconds that a file may be in place before the manifest that names it is written. */
const UNDER_WAY = 5000
/** The most further looks; after that, problems seen only once are reported too. */
const MOST_LOOKS = 5

/**
 * Reads every manifest and every byte of every file, and changes nothing. A server may be changing images meanwhile, so
 * a problem is reported only if two looks find the same one. What is unused must also have been there for a while, since
 * its manifest may follow.
 */
export async function inspectDatadir(root: string, rules: ManifestRules): Promise<Inspection> {
  const layout = layoutOf(root)
  const isInUse = await isLocked(layout.lock)
  const mayFollow = (problem: Problem) => isInUse && isRecent(problem)
  const until = Date.now() + 2 * UNDER_WAY
  const first = await look(layout, rules)
  const confirmed = new Map<string, Problem>()
  let suspects = byText(first.problems)
  for (let looks = 0; suspects.size > 0 && (looks < MOST_LOOKS || Date.now() < until); looks++) {
    await sleep(INTERVAL)
    const subjects = new Set([...suspects.values()].map(({ subject }) => subject))
    const again = byText((await look(layout, rules, subjects)).problems)
    const fresh = new Map<string, Problem>()
    for (const [text, problem] of again) {
      if (confirmed.has(text)) continue
      const isSettled = suspects.has(text) && !mayFollow(problem)
      const list = isSettled ? confirmed : fresh
      list.set(text, problem)
    }
    suspects = fresh
  }
  const last = [...suspects.values()].filter(problem => !mayFollow(problem))
  return { ...first, problems: [...confirmed.values(), ...last] }
}

const byText = (problems: readonly Problem[]) =>
  new Map(problems.map(problem => [`${problem.subject} ${problem.message}`, problem]))

/** Returns whether something unused came, or changed, so recently that its manifest may follow. */
function isRecent({ stray }: Problem): boolean {
  const stats = stray === undefined ? undefined : lstatSync(stray, { throwIfNoEntry: false })
  return stats !== undefined && Date.now() - stats.ctimeMs < UNDER_WAY
}

/** Checks all images, or those in `only`. */
async function look(layout: Layout, rules: ManifestRules, only?: ReadonlySet<string>): Promise<Inspection> {
  const { images, unreadable } = readImages(layout, only)
  const { bytes, problems } = await inspectImages(layout, images, rules)
  const unreadableImages = [...unreadable].map(
    ([uuid, message]): Problem => ({
      subject: uuid,
      kind: 'manifest',
      message,
      stray: folderOf(layout, uuid),
    }),
  )
  const circular = findCircles(images.map(({ image }) => image)).flatMap(circle =>
    circle.map((subject): Problem => ({ subject, kind: 'origin', message: circleMessage(circle) })),
  )
  const all = [...problems, ...circular, ...unreadableImages, ...findStrays(layout, only)]
  return { images: images.length, bytes, problems: all }
}

async function inspectImages(layout: Layout, images: readonly Versioned[], rules: ManifestRules) {
  const problems: Problem[] = []
  let bytes = 0
  for (const { image } of images) {
    problems.push(...checkManifest(layout, image, rules), ...findStrayFiles(layout, image))
    for (const file of [...image.files, ...(image.icon ? [image.icon] : [])]) {
      const { read, problem } = await checkFile(layout, image, file)
      bytes += read
      if (problem) problems.push(problem)
    }
  }
  return { bytes, problems }
}

/** Moves unused paths to a folder in `.quarantine`, without deleting anything. Returns that folder. */
export async function moveAside(root: string, paths: string[], now: Date): Promise<string> {
  const folder = join(root, '.quarantine', now.toISOString().replaceAll(':', ''))
  for (const path of paths) {
    const target = join(folder, relative(root, path))
    await mkdir(join(target, '..'), { recursive: true })
    await commit(join(path, '..'), () => rename(path, target))
  }
  await syncFolder(root)
  return folder
}

function checkManifest(layout: Layout, image: Image, rules: ManifestRules): Problem[] {
  const problems: Problem[] = []
  const { files: _, icon: __, extra, ...fields } = image
  try {
    validateManifest({ ...extra, ...fields }, { ...rules, channels: fields.channels !== undefined })
  } catch (error) {
    if (!(error instanceof ImgapiError)) throw error
    problems.push(
      ...(error.errors ?? []).map(
        ({ field, message = 'not valid' }): Problem => ({
          subject: image.uuid,
          kind: 'manifest',
          message: `${field}: ${message}`,
        }),
      ),
    )
  }
  if (image.origin !== undefined && !existsSync(manifestPath(layout, image.origin))) {
    const message = `its origin ${image.origin} does not exist`
    problems.push({ subject: image.uuid, kind: 'origin', message })
  }
  return problems
}

async function checkFile(layout: Layout, { uuid }: Image, file: StoredFile) {
  const path = filePath(layout, uuid, file.name)
  const problem = (message: string): Problem => ({
    subject: uuid,
    kind: 'file',
    message: `${file.name}: ${message}`,
  })
  const hash = createHash('sha1')
  let read = 0
  try {
    const { handle } = await openRegular(path)
    const stream = handle.createReadStream({ highWaterMark: PIECE })
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      hash.update(chunk)
      read += chunk.length
    }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (error instanceof NotRegularError) return { read, problem: problem(message) }
    return { read, problem: problem(code === 'ENOENT' ? 'missing' : `cannot be read: ${message}`) }
  }
  if (read !== file.size) return { read, problem: problem(`has ${read} bytes, not ${file.size}`) }
  const sha1 = hash.digest('hex')
  return { read, problem: sha1 === file.sha1 ? undefined : problem(`has sha1 ${sha1}, not ${file.sha1}`) }
}

/**
 * Finds entries of the data directory, or of those in `only`, that are neither images nor known folders. Ignores names
 * with a leading dot.
 */
export function findStrays(layout: Layout, only?: ReadonlySet<string>): Problem[] {
  return (
    readdirSync(layout.root)
      .filter(name => only?.has(name) !== false)
      .filter(name => !name.startsWith('.') && !OPERATORS_FOLDERS.has(name))
      .filter(name => !(isUuid(name) && exists(manifestPath(layout, name))))
      // A server may have deleted the image meanwhile.
      .filter(name => exists(join(layout.root, name)))
      .map(name => ({
        subject: name,
        kind: 'orphan',
        message:
          isUuid(name) && isFolder(join(layout.root, name)) ? `a folder without ${MANIFEST}` : 'not an image',
        stray: join(layout.root, name),
      }))
  )
}

/** Returns whether a path exists. A broken link does: as a manifest, it may be next to the only copy of a file. */
function exists(path: string): boolean {
  try {
    return lstatSync(path) !== undefined
  } catch {
    return false
  }
}
const isFolder = (path: string) => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false

/** Finds files in an image's folder that its manifest does not name. */
export function findStrayFiles(layout: Layout, image: Image): Problem[] {
  const path = folderOf(layout, image.uuid)
  const known = new Set([MANIFEST, ...image.files.map(file => file.name), image.icon?.name])
  return namesIn(path)
    .filter(name => !known.has(name))
    .map(name => ({
      subject: image.uuid,
      kind: 'orphan',
      message: `${name}: the manifest does not mention this file`,
      stray: join(path, name),
    }))
}

/** Returns the names in a folder; none if it is not there, since a server may delete the image at any time. */
function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
