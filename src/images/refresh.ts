import { importedOwner } from './create.ts'
import type { Image } from './image.ts'
import { isActivated } from './image.ts'
import { changeImage, type Images } from './images.ts'
import { readManifest, sortFields } from './intake.ts'
import { requireDockerId } from './lifecycle.ts'
import { validateManifest } from './validate.ts'

/**
 * Updates an imported image from the current manifest of its source: every field, also unknown ones, except those that
 * belong to this server: files, icon, state, channels, and the origin that the files need.
 */
export async function refreshImage(images: Images, uuid: string, body: unknown): Promise<Image> {
  const { fields, extra } = sortFields(readManifest(body), 'import')
  return changeImage(images, uuid, image => {
    const { files, icon, state, disabled, origin, channels } = image
    const candidate = {
      public: false,
      ...fields,
      ...{ uuid, state, disabled, origin, channels },
      owner: importedOwner(images, fields.owner),
      published_at: fields.published_at ?? image.published_at,
    }
    const rules = { mode: images.policy.mode, channels: channels !== undefined }
    const valid = validateManifest(candidate, rules)
    const next = {
      ...valid,
      files,
      icon,
      ...(image.wasActive && { wasActive: image.wasActive }),
      ...(Object.keys(extra).length > 0 && { extra }),
    }
    if (isActivated(next)) requireDockerId(next)
    return next
  })
}
