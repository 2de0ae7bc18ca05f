import { imageNotFound } from './errors.ts'
import type { Image } from './image.ts'
import type { Files, Locks, Manifests, Versioned } from './ports.ts'
import type { Mode } from './validate.ts'

export interface Channel {
  name: string
  description: string
  default?: boolean | undefined
}

/** How this server is set up, as far as images are concerned. */
export interface Policy {
  mode: Mode
  /** Who may read without credentials: everything that is active, public images, or nothing. */
  anonymous: 'all' | 'public' | 'none'
  channels: readonly Channel[]
  /** The datacenter's own account, which images of nobody belong to in mode dc. */
  adminUuid?: string | undefined
  /** Bytes; undefined is no limit. */
  maxImageSize?: number | undefined
  /** Milliseconds without a byte. */
  stallTimeout: number
}

/** The images of a server: the ports they live behind and the rules they live by. */
export interface Images {
  policy: Policy
  manifests: Manifests
  files: Files
  locks: Locks
  now(): Date
  newUuid(): string
}

/**
 * Reads, changes and writes an image as often as it takes for nobody to come in between. `change` returns
 * the next state, or the same object if there is nothing to write.
 */
export async function changeImage(
  images: Images,
  uuid: string,
  change: (image: Image) => Image,
): Promise<Image> {
  for (;;) {
    const current = await findImage(images, uuid)
    const next = change(current.image)
    if (next === current.image || (await images.manifests.replace(next, current.revision))) return next
  }
}

/** Throws ResourceNotFound. */
export async function findImage(images: Images, uuid: string): Promise<Versioned> {
  const found = await images.manifests.find(uuid)
  if (!found) throw imageNotFound(uuid)
  return found
}
