import type { Stats } from 'node:fs'
import type { Image } from '../../images/image.ts'
import { irregularity } from '../../util/regular-file.ts'

/** Access to an image's folder beyond its manifest, read only as far as necessary. */
export interface Folder {
  uuid: string
  /** When the manifest was last written. */
  manifestTime(): Date
  /** Returns the stats of another file, without following a link. */
  stat(name: string): Stats | undefined
  /** Returns the names of the files other than the manifest. */
  names(): string[]
  /** Hashes a file, which must be small. */
  digest(name: string): { sha1: string; md5: string }
}

/** Returns why the image's files cannot be served; undefined if they can. */
export function damageOf({ uuid, files }: Image, folder: Folder): string | undefined {
  for (const { name, size } of files) {
    const found = folder.stat(name)
    if (!found) return `the file ${name} of image ${uuid} is missing`
    const problem = irregularity(found)
    if (problem) return `the file ${name} of image ${uuid} ${problem}`
    if (found.size !== size) return `the file ${name} of image ${uuid} has ${found.size} bytes, not ${size}`
  }
  return undefined
}
