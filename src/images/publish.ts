import { EXTENSION } from './compression.ts'
import { importImage } from './create.ts'
import { keepFile, withFile } from './files.ts'
import type { Compression, Image } from './image.ts'
import type { Images } from './images.ts'
import { activated } from './lifecycle.ts'
import type { ReceivedFile } from './ports.ts'
import { type Provenance, toTraits } from './provenance.ts'
import type { Viewer } from './visibility.ts'

/** Images that come into being together with their file: bytes that nobody wrote a manifest for. */

const MEBIBYTE = 1024 * 1024

/** What vmadm wants to know of a zvol. Its size is not in the stream: the smallest that may be right. */
const zvolFields = (size: number) => ({
  nic_driver: 'virtio',
  disk_driver: 'virtio',
  cpu_type: 'host',
  image_size: Math.ceil(size / MEBIBYTE),
})

/**
 * Makes an active image of bytes that have arrived. `manifest`: what else is known of it, with its UUID.
 * Throws ValidationFailed or ImageUuidAlreadyExists, and then neither image nor bytes stay.
 */
export async function publishReceived(
  images: Images,
  manifest: Record<string, unknown> & { uuid: string },
  viewer: Viewer,
  provenance: Provenance,
  { received, compression }: { received: ReceivedFile; compression: Compression },
): Promise<Image> {
  const { uuid } = manifest
  const full = {
    v: 2,
    ...manifest,
    ...(manifest.type === 'zvol' && zvolFields(received.size)),
    traits: toTraits(provenance),
  }
  await importImage(images, uuid, full, viewer).catch(async error => {
    await received.discard()
    throw error
  })
  try {
    return await keepFile(images, uuid, received, async () => {
      const stored = await received.attach(uuid, 'image', `.zfs${EXTENSION[compression]}`)
      return image => activated(withFile(image, 0, { ...stored, compression }), images.now())
    })
  } catch (error) {
    const found = await images.manifests.find(uuid)
    if (found) await images.manifests.remove(uuid, found.revision)
    throw error
  }
}
