import { imageNotFound } from './errors.ts'
import type { Image } from './image.ts'
import type { Files, Locks, Manifests, Versioned } from './ports.ts'
import type { Mode } from './validate.ts'

export interface Channel {
  name: string
  description: string
  default?: boolean | undefined
}

/** The settings of the server that concern images. */
export interface Policy {
  mode: Mode
  /** What may be read without credentials: all activated images, public images, or nothing. */
  anonymous: 'all' | 'public' | 'none'
  channels: readonly Channel[]
  /** The datacenter's own account: in mode dc, the owner of imported images without one. */
  adminUuid?: string | undefined
  /** Bytes; undefined means no limit. */
  maxImageSize?: number | undefined
  /** Milliseconds without a byte after which an upload fails. */
  stallTimeout: number
}

/** The images of a server: its policy and its storage ports. */
export interface Images {
  policy: Policy
  manifests: Manifests
  files: Files
  locks: Locks
  now(): Date
  newUuid(): string
}

/**
 * Changes an image: reads it, applies `change` and writes it, and retries if it was changed meanwhile. `change` returns
 * the next state, or the same object if there is nothing to write. Throws ResourceNotFound.
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

/** Returns an image with its revision. Throws ResourceNotFound. */
export async function findImage(images: Images, uuid: string): Promise<Versioned> {
  const found = await images.manifests.find(uuid)
  if (!found) throw imageNotFound(uuid)
  return found
}
