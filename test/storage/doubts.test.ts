import { mkdirSync, renameSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openDatadir } from '../../src/storage/local/datadir.ts'
import { temporaryFolder } from '../support/server.ts'
import { newImage } from './conformance.ts'

/** Makes a manifest that can neither be replaced nor be read, until it is called off. */
function block(folder: string, uuid: string): () => void {
  const path = join(folder, uuid, 'manifest.json')
  renameSync(path, `${path}.aside`)
  mkdirSync(path)
  return () => {
    rmdirSync(path)
    renameSync(`${path}.aside`, path)
  }
}

test('an image that may have got an origin counts as its child until the disk is read', async () => {
  const folder = join(temporaryFolder(), 'data')
  const { manifests, close } = await openDatadir(folder)
  const [origin, child] = [newImage(), newImage()]
  for (const image of [origin, child]) await manifests.insert(image)
  const unblock = block(folder, child.uuid)
  const isDown = { code: 'StorageIsDown' }
  await expect(manifests.replace({ ...child, origin: origin.uuid }, 1)).rejects.toMatchObject(isDown)
  await expect(manifests.find(child.uuid)).rejects.toMatchObject(isDown)
  await expect(manifests.remove(origin.uuid, 1)).rejects.toMatchObject({ code: 'ImageHasDependentImages' })
  // It may make a circle.
  await expect(manifests.replace({ ...origin, origin: child.uuid }, 1)).rejects.toMatchObject(isDown)
  unblock()
  expect((await manifests.find(child.uuid))?.image.origin).toBeUndefined()
  expect(await manifests.remove(origin.uuid, 1)).toBe(true)
  await close()
})
