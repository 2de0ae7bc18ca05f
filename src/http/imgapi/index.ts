import type { Operation } from '../operation.ts'
import { reloadAuthKeys } from './auth-keys.ts'
import { cloneImageOperation } from './clone-image.ts'
import { createImageOperation } from './create-image.ts'
import { getDataset, listDatasets } from './datasets.ts'
import { deleteImageOperation } from './delete-image.ts'
import { getImage } from './get-image.ts'
import { imageAcl } from './image-acl.ts'
import { imageAction } from './image-action.ts'
import { addImageFileOperation, getImageFile } from './image-file.ts'
import { addImageIconOperation, deleteImageIconOperation, getImageIcon } from './image-icon.ts'
import { listChannels } from './list-channels.ts'
import { listImages } from './list-images.ts'
import { ping } from './ping.ts'
import { getState, updateState } from './state.ts'

/** Every operation of the Image API that this server has. */
export const OPERATIONS: readonly Operation[] = [
  ping,
  getState,
  updateState,
  reloadAuthKeys,
  listChannels,
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
  imageAcl,
  cloneImageOperation,
  listDatasets,
  getDataset,
]
