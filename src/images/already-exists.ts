import { type ImgapiError, imageUuidAlreadyExists } from './errors.ts'
import type { Image } from './image.ts'

/**
 * Makes the error for an import of an existing UUID. `image`: only if the caller may see it; then the message says its
 * state and what to do.
 */
export function alreadyExists(uuid: string, image?: Image): ImgapiError {
  const message = `image uuid "${uuid}" already exists`
  return imageUuidAlreadyExists(image ? `${message}: ${advice(image)}` : message)
}

function advice({ state, files, error }: Image): string {
  switch (state) {
    case 'active':
      return 'it is active: update its manifest, or publish other bytes under another UUID'
    case 'disabled':
      return 'it is disabled: enable it, or publish other bytes under another UUID'
    case 'failed': {
      const reason = typeof error?.message === 'string' ? ` (${error.message})` : ''
      return `it is failed${reason}: delete it, and import it again`
    }
    case 'creating':
      return 'it is being created: wait for it, or delete it and import it again'
    case 'unactivated':
      return files.length === 0
        ? 'it is unactivated and has no file: add its file and activate it, or delete it and import it again'
        : 'it is unactivated and has its file: activate it, or delete it and import it again'
  }
}
