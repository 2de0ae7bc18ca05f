import { createHash } from 'node:crypto'
import { existsSync, lstatSync, readdirSync, statSync } from 'node:fs'
import { mkdir, rename } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ImgapiError } from '../../images/errors.ts'
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
import { isUuid } from './record.ts'

/** Looks at a data directory from outside: is everything there that should be, and nothing else? */

export interface Problem {
  /** The image, or the path below the data directory of what belongs to none. */
  subject: string
  kind: 'manifest' | 'file' | 'origin' | 'orphan'
  message: string
  /** A path that nothing needs and that may be moved aside. */
  stray?: string | undefined
}

export interface Inspection {
  images: number
  /** Bytes that were read and hashed. */
  bytes: number
  problems: Problem[]
}

const PIECE = 1024 * 1024
/** Milliseconds that an upload takes at most from its file's final name to its manifest. */
const SETTLING = 300

/** Looks again at most: by then a problem that nobody has seen twice is told all the same. */
const MOST_LOOKS = 5

/**
 * Reads every manifest and every byte of every file; changes nothing. A server may be changing images at this
 * moment, and an image that is just being made may just be being deleted at the next look: what is wrong is what
 * looks wrong in the same way twice.
 */
export async function inspectDatadir(root: string, rules: ManifestRules): Promise<Inspection> {
  const layout = layoutOf(root)
  const first = await look(layout, rules)
  const confirmed = new Map<string, Problem>()
  let suspects = byText(first.problems)
  for (let looks = 0; suspects.size > 0 && looks < MOST_LOOKS; looks++) {
    await sleep(SETTLING)
    const subjects = new Set([...suspects.values()].map(({ subject }) => subject))
    const again = byText((await look(layout, rules, subjects)).problems)
    const fresh = new Map<string, Problem>()
    for (const [text, problem] of again) {
      if (suspects.has(text)) confirmed.set(text, problem)
      else if (!confirmed.has(text)) fresh.set(text, problem)
    }
    suspects = fresh
  }
  const problems = [...confirmed.values(), ...suspects.values(), ...findStrays(layout)]
  return { images: first.images, bytes: first.bytes, problems }
}

const byText = (problems: readonly Problem[]) =>
  new Map(problems.map(problem => [`${problem.subject} ${problem.message}`, problem]))

/** All images, or those `only`. */
async function look(layout: Layout, rules: ManifestRules, only?: ReadonlySet<string>): Promise<Inspection> {
  const { images, unreadable } = readImages(layout, only)
  const { bytes, problems } = await inspectImages(layout, images, rules)
  const illegible = [...unreadable].map(
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
  return { images: images.length, bytes, problems: [...problems, ...circular, ...illegible] }
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

/** Moves what nothing needs out of the way; nothing is deleted. Resolves to the folder it is in now. */
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
    const message = `its origin ${image.origin} is not here`
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

/** What is in the data directory and is neither an image nor ours. Names with a dot are not looked at. */
export function findStrays(layout: Layout): Problem[] {
  return readdirSync(layout.root)
    .filter(name => !name.startsWith('.') && !OPERATORS_FOLDERS.has(name))
    .filter(name => !(isUuid(name) && isThere(manifestPath(layout, name))))
    .map(name => ({
      subject: name,
      kind: 'orphan',
      message:
        isUuid(name) && isFolder(join(layout.root, name)) ? `a folder without ${MANIFEST}` : 'not an image',
      stray: join(layout.root, name),
    }))
}

/** A manifest that is a link which leads nowhere is there too: what is beside it may be the only copy. */
function isThere(path: string): boolean {
  try {
    return lstatSync(path) !== undefined
  } catch {
    return false
  }
}
const isFolder = (path: string) => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false

export function findStrayFiles(layout: Layout, image: Image): Problem[] {
  const path = folderOf(layout, image.uuid)
  const wanted = new Set([MANIFEST, ...image.files.map(file => file.name), image.icon?.name])
  return (existsSync(path) ? readdirSync(path) : [])
    .filter(name => !wanted.has(name))
    .map(name => ({
      subject: image.uuid,
      kind: 'orphan',
      message: `${name}: the manifest does not mention this file`,
      stray: join(path, name),
    }))
}
