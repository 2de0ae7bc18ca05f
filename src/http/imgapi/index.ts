import type { Operation } from '../operation.ts'
import { createImageOperation } from './create-image.ts'
import { deleteImageOperation } from './delete-image.ts'
import { getImage } from './get-image.ts'
import { imageAction } from './image-action.ts'
import { addImageFileOperation, getImageFile } from './image-file.ts'
import { addImageIconOperation, deleteImageIconOperation, getImageIcon } from './image-icon.ts'
import { listImages } from './list-images.ts'
import { ping } from './ping.ts'

/** Every operation of the Image API that this server has. */
export const OPERATIONS: readonly Operation[] = [
  ping,
  listImages,
  createImageOperation,
  getImage,
  imageAction,
  deleteImageOperation,
  getImageFile,
  addImageFileOperation,
  getImageIcon,
  addImageIconOperation,
  deleteImageIconOperation,
]
