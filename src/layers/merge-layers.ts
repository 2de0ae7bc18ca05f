import { Readable } from 'node:stream'
import { readLayer } from './decompress.ts'
import { type Inode, LayerTree } from './layer-tree.ts'
import { readTar, type TarHeader } from './tar-reader.ts'
import { END_OF_ARCHIVE, tarHeader, tarPadding } from './tar-writer.ts'

/**
 * One tar archive of the tree that layers make together, without root and without unpacking. `paths`: the files
 * of the layers, from the bottom up, each a tar archive, plain or compressed with gzip or zstd. The layers are
 * read twice: for their names, then for those contents that are still there. Devices are left out, extended
 * attributes too. The stream ends with a TarError for a layer that cannot be read or leads out of the image.
 */
export function mergeLayers(paths: readonly string[], signal: AbortSignal): Readable {
  return Readable.from(mergedTar(paths, signal), { objectMode: false, signal })
}

async function* mergedTar(paths: readonly string[], signal: AbortSignal): AsyncGenerator<Buffer> {
  const tree = await readTree(paths, signal)
  const names = new Map<Inode, string[]>()
  // Directories first: what a content belongs into is there before it, whichever layer it is from.
  for (const [name, inode] of tree.entries()) {
    if (inode.header.type === 'directory') yield tarHeader({ ...inode.header, name: `${name}/` })
    else names.set(inode, [...(names.get(inode) ?? []), name])
  }
  for (const [inode, all] of names) {
    if (inode.header.type === 'symlink') yield* named(inode.header, all)
  }
  const wanted = new Map<string, Inode>()
  for (const inode of names.keys()) wanted.set(placeOf(inode.layer, inode.entry), inode)
  for (const [layer, path] of paths.entries()) {
    let entry = 0
    for await (const { header, content } of readTar(readLayer(path, signal))) {
      const inode = wanted.get(placeOf(layer, entry++))
      if (inode?.header.type !== 'file') continue
      const [first, ...others] = names.get(inode)!
      yield tarHeader({ ...header, name: first! })
      yield* content()
      yield tarPadding(header.size)
      for (const name of others) yield hardLink(header, name, first!)
    }
  }
  yield END_OF_ARCHIVE
}

const placeOf = (layer: number, entry: number) => `${layer}/${entry}`

const hardLink = (header: TarHeader, name: string, linkname: string) =>
  tarHeader({ ...header, type: 'link', size: 0, name, linkname })

/** A symbolic link may have several names too. */
function* named(header: TarHeader, [first, ...others]: string[]): Generator<Buffer> {
  yield tarHeader({ ...header, name: first! })
  for (const name of others) yield hardLink(header, name, first!)
}

async function readTree(paths: readonly string[], signal: AbortSignal): Promise<LayerTree> {
  const tree = new LayerTree()
  for (const [layer, path] of paths.entries()) {
    let entry = 0
    for await (const { header } of readTar(readLayer(path, signal))) {
      tree.add(header, layer, entry++)
    }
  }
  return tree
}
