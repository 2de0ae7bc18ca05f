import type { Operation } from '../operation.ts'
import { reloadAuthKeys } from './auth-keys.ts'
import { cloneImageOperation } from './clone-image.ts'
import { createImageOperation } from './create-image.ts'
import { getDataset, listDatasets } from './datasets.ts'
import { deleteImageOperation } from './delete-image.ts'
import { docs, favicon } from './docs.ts'
import { addImageFileFromUrl } from './fetch-image-file.ts'
import { getImage } from './get-image.ts'
import { imageAcl } from './image-acl.ts'
import { imageAction } from './image-action.ts'
import { addImageFileOperation, getImageFile } from './image-file.ts'
import { addImageIconOperation, deleteImageIconOperation, getImageIcon } from './image-icon.ts'
import { refuseTritonOnly } from './imports.ts'
import { cancelJob, getJob, listImageJobs, listJobs } from './jobs.ts'
import { listChannels } from './list-channels.ts'
import { listImages } from './list-images.ts'
import { listMirrors, runMirrors } from './mirrors.ts'
import { ping } from './ping.ts'
import { getState, updateState } from './state.ts'

/** Reference contract, 8.19. */
const pushImage: Operation = {
  name: 'AdminPushDockerImage',
  method: 'POST',
  path: '/images/:uuid/push',
  async handle(request) {
    await request.authenticate()
    return refuseTritonOnly('pushing docker images')
  },
}

/** Every operation of the Image API that this server has. */
export const OPERATIONS: readonly Operation[] = [
  ping,
  // Old clients follow no redirects, so the page is at both.
  docs('/', () => OPERATIONS),
  docs('/docs', () => OPERATIONS),
  favicon,
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
  addImageFileFromUrl,
  imageAcl,
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
