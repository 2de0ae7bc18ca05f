/** Which names in a folder belong together: a manifest and its file, as every builder of images names them. */

export interface Pair {
  manifest: string
  /** Those that its file may have; the manifest tells which, if there are several. */
  files: string[]
}

const MANIFEST = /\.(imgmanifest|dsmanifest|manifest|json)$/
const FILE = /(\.(zfs|zvol)(\.(gz|bz2|xz))?|\.tar(\.(gz|bz2|xz))?|\.tgz|\.sh)$/

/** Every manifest, with what is there for it. Names that begin with a dot are those of copies under way. */
export function pairUp(names: readonly string[]): Pair[] {
  const visible = names.filter(name => !name.startsWith('.'))
  const files = visible.filter(name => FILE.test(name))
  return visible
    .filter(name => MANIFEST.test(name))
    .map(manifest => {
      const stem = manifest.replace(MANIFEST, '')
      return { manifest, files: files.filter(name => name.replace(FILE, '') === stem) }
    })
}
