import type { AnyOperation } from '../operation.ts'
import { reloadAuthKeys } from './auth-keys.ts'
import { cloneImageOperation } from './clone-image.ts'
import { createImageFromVm, createImageOperation } from './create-image.ts'
import { getDataset, listDatasets } from './datasets.ts'
import { deleteImageOperation } from './delete-image.ts'
import { docs, favicon, openApi } from './docs.ts'
import { addImageFileFromSource, addImageFileFromUrl } from './fetch-image-file.ts'
import { getImage } from './get-image.ts'
import { addImageAcl, removeImageAcl } from './image-acl.ts'
import {
  activateImageOperation,
  channelAddImage,
  disableImage,
  enableImage,
  unknownImageAction,
  updateImageOperation,
} from './image-action.ts'
import { addImageFileOperation, getImageFile } from './image-file.ts'
import { addImageIconOperation, deleteImageIconOperation, getImageIcon } from './image-icon.ts'
import { importDockerImage } from './import-docker-image.ts'
import { importLxdImageOperation } from './import-lxd-image.ts'
import {
  changeImageStor,
  importImageFromDatacenter,
  importImageFromSource,
  importImageOperation,
  importRemoteImage,
} from './imports.ts'
import { cancelJob, getJob, listImageJobs, listJobs } from './jobs.ts'
import { listChannels } from './list-channels.ts'
import { listImages } from './list-images.ts'
import { listMirrors, runMirrors } from './mirrors.ts'
import { ping } from './ping.ts'
import { getState, updateState } from './state.ts'
import { exportImage, pushImage } from './triton-only.ts'

/** All operations of the Image API. */
export const OPERATIONS: readonly AnyOperation[] = [
  ping,
  // The page is at both paths, because old clients follow no redirects.
  docs('/', () => OPERATIONS),
  docs('/docs', () => OPERATIONS),
  openApi(() => OPERATIONS),
  favicon,
  getState,
  updateState,
  reloadAuthKeys,
  listChannels,
  listImages,
  createImageOperation,
  createImageFromVm,
  importDockerImage,
  importLxdImageOperation,
  getImage,
  activateImageOperation,
  enableImage,
  disableImage,
  updateImageOperation,
  channelAddImage,
  importImageOperation,
  importImageFromSource,
  importRemoteImage,
  importImageFromDatacenter,
  changeImageStor,
  exportImage,
  unknownImageAction,
  deleteImageOperation,
  getImageFile,
  addImageFileOperation,
  addImageFileFromSource,
  addImageFileFromUrl,
  getImageIcon,
  addImageIconOperation,
  deleteImageIconOperation,
  addImageAcl,
  removeImageAcl,
  listImageJobs,
  pushImage,
  cloneImageOperation,
  listJobs,
  getJob,
  cancelJob,
  listMirrors,
  runMirrors,
  listDatasets,
  getDataset,
]
