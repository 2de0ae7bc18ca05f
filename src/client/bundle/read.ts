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
import { ImageImport, type Imported, type ImportHooks } from './image-import.ts'

/** A manifest is a few kilobytes. */
const LARGEST_TEXT = 10 * 1024 * 1024

export interface ReadHooks extends ImportHooks {
  onImage(image: RemoteImage, result: Imported): void
}

/**
 * Brings what is in a bundle to a server. What is there already and the same is passed over, so an import
 * that was interrupted goes on when it is run again. Throws BundleError or ClientError.
 */
export async function importBundle(client: ImgapiClient, bundle: Readable, hooks: ReadHooks) {
  const extract = newExtract()
  // Entries that wait for their turn are not told when the rest of the tar does not come.
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
      const file = expected.take(name)
      if (name.endsWith(MANIFEST_ENDING)) expected.add(name, await readText(entry))
      else if (file) {
        if (file.index === 0)
          current = await ImageImport.begin(client, expected.imageOf(file), { ...hooks, signal })
        await current!.take(file, entry, entry.header.size)
        if (current!.isComplete) hooks.onImage(current!.image, await current!.finish())
      } else await ignore(entry)
      last = name
    }
    await feeding
  } catch (error) {
    bundle.destroy()
    const cause = broken.signal.aborted ? broken.signal.reason : error
    const { message } = cause as Error
    // The words of the library that reads it.
    if (!/^(Unexpected end of data|Invalid tar header)/.test(message)) throw cause
    throw new BundleError(`the bundle is cut short or no bundle: ${message.toLowerCase()}, after ${last}`)
  }
  expected.requireAllTaken()
}

/** The files that the manifests at the beginning of a bundle announce. */
class Expected {
  readonly #images = new Map<string, RemoteImage>()
  readonly #files = new Map<string, BundledFile>()
  #taken = 0

  /** Throws BundleError. */
  add(name: string, json: string) {
    if (this.#taken > 0) throw new BundleError(`the bundle is damaged: ${name} comes after the first file`)
    const manifest = readManifest(name, json)
    const { uuid } = manifest
    const base = name.slice(0, -MANIFEST_ENDING.length)
    this.#images.set(uuid, manifest)
    for (const [index, file] of filesOf(manifest).entries()) {
      const key = `${base} ${index}`
      this.#files.set(key, { ...file, uuid, index, name: base })
    }
  }

  /** The file of that name, once. */
  take(name: string): BundledFile | undefined {
    const match = /^(.+)\.(?:zfs|file(\d+))(?:\.(?:gz|bz2|xz))?$/.exec(name)
    const key = `${match?.[1]} ${match?.[2] ?? 0}`
    const file = this.#files.get(key)
    if (!file) return undefined
    this.#files.delete(key)
    this.#taken++
    return { ...file, name }
  }

  imageOf({ uuid }: BundledFile): RemoteImage {
    return this.#images.get(uuid)!
  }

  requireAllTaken() {
    if (this.#images.size === 0) throw new BundleError('this is no bundle: there is no image in it')
    const [missing] = this.#files.values()
    if (missing) throw new BundleError(`the bundle is cut short: the file of ${missing.name} is not in it`)
  }
}

async function readText(entry: Entry): Promise<string> {
  const { name, size = 0 } = entry.header
  if (size > LARGEST_TEXT) throw new BundleError(`${name} is too large to be what it says`)
  return text(Readable.from(entry))
}

/** What is there for people. Anything else is nothing of ours: this is another tar, or an altered one. */
async function ignore(entry: Entry) {
  const { name, type } = entry.header
  const isText = name === README || name === SUMS
  if (!isText && type === 'file')
    throw new BundleError(`the bundle is damaged: no manifest in it is for ${name}`)
  for await (const _ of entry);
}

/** Throws BundleError. */
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
