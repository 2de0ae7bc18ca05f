import { createHash } from 'node:crypto'
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Data directories as the predecessor left them. */

export interface Stored {
  uuid: string
  manifest?: Record<string, unknown>
  /** The image file, always called `image.gz`. */
  file?: Buffer
  /** What its manifest says of it, where that is not `gzip`. */
  compression?: string
  icon?: { name: string; content: Buffer }
  written?: Date
}

/** Go's shortest form of a number of a million and more, in older versions: 3.79882274e+08. */
const goNumber = (value: number) =>
  value < 1e6 ? String(value) : value.toExponential().replace(/e\+(\d)$/, 'e+0$1')

const sortKeys = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(sortKeys)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(entries.map(([key, item]) => [key, sortKeys(item)]))
}

export function storeAsPredecessor(datadir: string, stored: Stored) {
  const { uuid, file, icon, compression = 'gzip', written = new Date('2014-03-02T10:20:30.456Z') } = stored
  const folder = join(datadir, uuid)
  mkdirSync(folder, { recursive: true })
  const manifest = {
    v: 2,
    uuid,
    name: 'base64',
    version: '13.4.0',
    type: 'zone-dataset',
    os: 'smartos',
    public: false,
    disabled: false,
    state: file ? 'active' : 'unactivated',
    ...(file && {
      files: [{ sha1: createHash('sha1').update(file).digest('hex'), size: file.length, compression }],
    }),
    ...(icon && { icon: true }),
    ...stored.manifest,
  }
  const text = JSON.stringify(sortKeys(manifest), null, 2)
  writeFileSync(
    join(folder, 'manifest.json'),
    text.replace(/"size": (\d+)/g, (_, size) => `"size": ${goNumber(Number(size))}`),
  )
  if (file) writeFileSync(join(folder, 'image.gz'), file)
  if (icon) writeFileSync(join(folder, icon.name), icon.content)
  for (const name of ['manifest.json', ...(file ? ['image.gz'] : []), ...(icon ? [icon.name] : [])]) {
    utimesSync(join(folder, name), written, written)
  }
  return uuid
}
