import { addAbortSignal, Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { UUID } from '../../images/fields.ts'
import { isObject } from '../../images/rules.ts'
import { parseManifest } from '../../images/written-text.ts'
import { Limits } from '../../util/tar/limits.ts'
import { TarError } from '../../util/tar/tar-error.ts'
import { shownName } from '../../util/tar/tar-header.ts'
import { readTar, type TarEntry } from '../../util/tar/tar-reader.ts'
import type { ImgapiClient } from '../client.ts'
import type { RemoteImage } from '../types.ts'
import { BundleError } from './bundle-error.ts'
import { type BundledFile, filesOf, MANIFEST_ENDING, README, SUMS } from './contents.ts'
import { ImageImport, type ImportHooks, type ImportOutcome } from './image-import.ts'

/** Bytes; a manifest has a few kilobytes. */
const LARGEST_TEXT = 10 * 1024 * 1024

/** The maps of sparse files are held in memory. */
const LIMITS = { parts: { most: 1_000_000, what: 'parts in sparse files' } }

export interface ReadHooks extends ImportHooks {
  onImage(image: RemoteImage, result: ImportOutcome): void
}

/**
 * Imports the images of a bundle into a server. Images and files that the server already has are skipped, so an
 * interrupted import resumes when it is run again. Throws BundleError and ClientError.
 */
export async function importBundle(client: ImgapiClient, bundle: Readable, hooks: ReadHooks) {
  addAbortSignal(hooks.signal, bundle)
  const limits = new Limits('the bundle', LIMITS)
  const expected = new Expected()
  let current: ImageImport | undefined
  let last = 'its beginning'
  // An upload whose content breaks off fails as well, with an error of its own: this one is the reason.
  let reason: unknown
  bundle.once('error', error => {
    if (error.name !== 'AbortError') reason ??= error
  })
  const streamOf = (entry: TarEntry) =>
    Readable.from(entry.content(), { objectMode: false }).once('error', error => {
      if (error instanceof TarError) reason ??= error
    })
  try {
    for await (const entry of readTar(bundle, limits)) {
      const { name, size } = entry.header
      const file = expected.claim(name)
      if (name.endsWith(MANIFEST_ENDING)) expected.add(name, await readText(entry))
      else if (file) {
        if (file.index === 0) current = await ImageImport.start(client, expected.imageOf(file), hooks)
        await current!.addFile(file, streamOf(entry), size)
        if (current!.isComplete) hooks.onImage(current!.image, await current!.finish())
      } else refuseUnknown(entry)
      last = shownName(name)
    }
  } catch (error) {
    bundle.destroy()
    const cause = reason ?? error
    if (!(cause instanceof TarError)) throw cause
    throw new BundleError(`the bundle is truncated or not a tar file: ${cause.message}, after ${last}`)
  }
  expected.requireComplete()
}

/** The files that the manifests at the start of a bundle announce. */
class Expected {
  readonly #images = new Map<string, RemoteImage>()
  readonly #files = new Map<string, BundledFile>()
  #claimed = 0

  /** Adds the files of a manifest. Throws BundleError. */
  add(name: string, json: string) {
    const shown = shownName(name)
    if (this.#claimed > 0) throw new BundleError(`the bundle is damaged: ${shown} comes after the first file`)
    const manifest = readManifest(shown, json)
    const { uuid } = manifest
    const base = name.slice(0, -MANIFEST_ENDING.length)
    this.#images.set(uuid, manifest)
    for (const [index, file] of filesOf(manifest).entries()) {
      const key = `${base} ${index}`
      this.#files.set(key, { ...file, uuid, index, name: base })
    }
  }

  /** Returns the file of that name on the first call, then undefined. */
  claim(name: string): BundledFile | undefined {
    const match = /^(.+)\.(?:zfs|file(\d+))(?:\.(?:gz|bz2|xz))?$/.exec(name)
    const key = `${match?.[1]} ${match?.[2] ?? 0}`
    const file = this.#files.get(key)
    if (!file) return undefined
    this.#files.delete(key)
    this.#claimed++
    return { ...file, name: shownName(name) }
  }

  imageOf({ uuid }: BundledFile): RemoteImage {
    return this.#images.get(uuid)!
  }

  /** Throws BundleError unless each announced file has been claimed. */
  requireComplete() {
    if (this.#images.size === 0) throw new BundleError('not a bundle: it contains no image')
    const [missing] = this.#files.values()
    if (missing)
      throw new BundleError(`the bundle is truncated: the file of ${shownName(missing.name)} is missing`)
  }
}

async function readText({ header, content }: TarEntry): Promise<string> {
  if (header.size > LARGEST_TEXT) {
    throw new BundleError(`${shownName(header.name)} is too large for a manifest`)
  }
  return text(content())
}

/** Throws BundleError for a file other than README and sums: the tar is not a bundle, or was altered. */
function refuseUnknown({ header: { name, type } }: TarEntry) {
  const isText = name === README || name === SUMS
  if (!isText && type === 'file')
    throw new BundleError(`the bundle is damaged: no manifest in it is for ${shownName(name)}`)
}

/** Parses a manifest and checks its UUID. Throws BundleError. */
function readManifest(name: string, json: string): RemoteImage {
  let manifest: unknown
  try {
    manifest = parseManifest(json)
  } catch (error) {
    throw new BundleError(`the bundle is damaged: ${name} ${(error as Error).message}`)
  }
  if (isObject(manifest) && typeof manifest.uuid === 'string' && UUID.test(manifest.uuid)) {
    return manifest as RemoteImage
  }
  throw new BundleError(`the bundle is damaged: ${name} is not the manifest of an image`)
}
