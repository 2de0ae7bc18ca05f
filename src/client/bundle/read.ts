import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { type Entry, extract as newExtract } from 'tar-stream'
import { UUID } from '../../images/fields.ts'
import { isObject } from '../../images/rules.ts'
import { parseManifest } from '../../images/written-text.ts'
import type { ImgapiClient } from '../client.ts'
import type { RemoteImage } from '../types.ts'
import { BundleError } from './bundle-error.ts'
import { type BundledFile, filesOf, MANIFEST_ENDING, README, SUMS } from './contents.ts'
import { ImageImport, type ImportHooks, type ImportOutcome } from './image-import.ts'

/** Bytes; a manifest has a few kilobytes. */
const LARGEST_TEXT = 10 * 1024 * 1024

export interface ReadHooks extends ImportHooks {
  onImage(image: RemoteImage, result: ImportOutcome): void
}

/**
 * Imports the images of a bundle into a server. Images and files that the server already has are skipped, so an
 * interrupted import resumes when it is run again. Throws BundleError and ClientError.
 */
export async function importBundle(client: ImgapiClient, bundle: Readable, hooks: ReadHooks) {
  const extract = newExtract()
  // tar-stream does not end the current entry when the tar breaks off; this signal does.
  const broken = new AbortController()
  const feeding = pipeline(bundle, extract)
  feeding.catch(error => broken.abort(error))
  const signal = AbortSignal.any([hooks.signal, broken.signal])
  const expected = new Expected()
  let current: ImageImport | undefined
  let last = 'its beginning'
  try {
    for await (const entry of extract as AsyncIterable<Entry>) {
      const { name } = entry.header
      const file = expected.claim(name)
      if (name.endsWith(MANIFEST_ENDING)) expected.add(name, await readText(entry))
      else if (file) {
        if (file.index === 0)
          current = await ImageImport.start(client, expected.imageOf(file), { ...hooks, signal })
        await current!.addFile(file, entry, entry.header.size)
        if (current!.isComplete) hooks.onImage(current!.image, await current!.finish())
      } else await ignore(entry)
      last = name
    }
    await feeding
  } catch (error) {
    bundle.destroy()
    const cause = broken.signal.aborted ? broken.signal.reason : error
    const { message } = cause as Error
    // tar-stream has no error codes, only these messages.
    if (!/^(Unexpected end of data|Invalid tar header)/.test(message)) throw cause
    throw new BundleError(
      `the bundle is truncated or not a tar file: ${message.toLowerCase()}, after ${last}`,
    )
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
    if (this.#claimed > 0) throw new BundleError(`the bundle is damaged: ${name} comes after the first file`)
    const manifest = readManifest(name, json)
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
    return { ...file, name }
  }

  imageOf({ uuid }: BundledFile): RemoteImage {
    return this.#images.get(uuid)!
  }

  /** Throws BundleError unless each announced file has been claimed. */
  requireComplete() {
    if (this.#images.size === 0) throw new BundleError('not a bundle: it contains no image')
    const [missing] = this.#files.values()
    if (missing) throw new BundleError(`the bundle is truncated: the file of ${missing.name} is missing`)
  }
}

async function readText(entry: Entry): Promise<string> {
  const { name, size = 0 } = entry.header
  if (size > LARGEST_TEXT) throw new BundleError(`${name} is too large for a manifest`)
  return text(Readable.from(entry))
}

/** Skips README and sums. Throws BundleError for any other file: the tar is not a bundle, or was altered. */
async function ignore(entry: Entry) {
  const { name, type } = entry.header
  const isText = name === README || name === SUMS
  if (!isText && type === 'file')
    throw new BundleError(`the bundle is damaged: no manifest in it is for ${name}`)
  for await (const _ of entry);
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
