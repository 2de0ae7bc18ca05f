import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { sha1 } from './api.ts'

/** Writes an active image as the predecessor kept it, for tests that need thousands at once. */
export function writeImage(folder: string, uuid: string, changes: Record<string, unknown> = {}) {
  const content = Buffer.from(uuid)
  const image = join(folder, 'data', uuid)
  mkdirSync(image, { recursive: true })
  const manifest = {
    v: 2,
    uuid,
    name: 'many',
    version: '1.0.0',
    state: 'active',
    disabled: false,
    public: true,
    type: 'zone-dataset',
    os: 'smartos',
    files: [{ sha1: sha1(content), size: content.length, compression: 'none' }],
    ...changes,
  }
  writeFileSync(join(image, 'manifest.json'), JSON.stringify(manifest))
  writeFileSync(join(image, 'image.gz'), content)
}
