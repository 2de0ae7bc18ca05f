import { Readable } from 'node:stream'
import { shownName, type TarHeader } from '../util/tar/tar-header.ts'
import { readTar } from '../util/tar/tar-reader.ts'
import { END_OF_ARCHIVE, tarHeader, tarPadding } from '../util/tar/tar-writer.ts'
import { readLayer } from './decompress.ts'
import { type Inode, LayerTree, type Node, pathOf } from './layer-tree.ts'
import { LayerLimits } from './limits.ts'

/** Devices and fifos, which are left out of the merged archive. */
export interface LeftOut {
  count: number
  /** The first few. */
  names: string[]
}

/** The result of merging the layers of an image. */
export interface MergedLayers {
  root: Pick<Inode, 'mode' | 'mtime'>
  leftOut: LeftOut
  /** Returns one tar archive of all but the root. It fails with TarError for a layer that cannot be read. */
  archive(): Readable
}

const MOST_NAMED = 5
/** The smallest number of bytes in a write, but the last. */
const BATCH = 64 * 1024

/**
 * Merges layers without root privileges and without unpacking them. `paths`: their files, lowest first, each a tar
 * archive, plain or compressed with gzip or zstd. The files are read twice: here for the names, then for the contents
 * that are in the merged image. Extended attributes are left out. Throws TarError for layers that cannot be read, have
 * names outside of the image or exceed the limits.
 */
export async function mergeLayers(paths: readonly string[], signal: AbortSignal): Promise<MergedLayers> {
  const tree = await readTree(paths, signal)
  const { directories, symlinks, files, devices, others } = sortNodes(tree, paths.length)
  async function* archive(): AsyncGenerator<Buffer> {
    yield* headersOf(directories, others)
    yield* headersOf(symlinks, others)
    for (const [layer, path] of paths.entries()) yield* contentsOf(path, files[layer]!, others, signal)
    yield END_OF_ARCHIVE
  }
  return {
    root: tree.root.inode,
    leftOut: {
      count: devices.length,
      names: devices.slice(0, MOST_NAMED).map(node => shownName(pathOf(node))),
    },
    archive: () => Readable.from(batched(archive()), { objectMode: false, signal }),
  }
}

async function readTree(paths: readonly string[], signal: AbortSignal): Promise<LayerTree> {
  const limits = new LayerLimits()
  const tree = new LayerTree(limits)
  for (const [layer, path] of paths.entries()) {
    let entry = 0
    for await (const { header } of readTar(readLayer(path, signal), limits)) tree.add(header, layer, entry++)
  }
  return tree
}

/** The names of an inode after its first one, which become hard links. */
type Others = ReadonlyMap<Inode, Node[]>

/** Sorts the names by type. Files are grouped by layer, in the order of their contents in its archive. */
function sortNodes(tree: LayerTree, layers: number) {
  const files = Array.from({ length: layers }, (): Node[] => [])
  const [directories, symlinks, devices]: [Node[], Node[], Node[]] = [[], [], []]
  const others = new Map<Inode, Node[]>()
  for (const node of tree.nodes()) {
    const { inode } = node
    const names = tree.isLinked(inode) ? others.get(inode) : undefined
    if (inode.type === 'device') devices.push(node)
    else if (inode.type === 'directory') directories.push(node)
    else if (names) names.push(node)
    else {
      if (tree.isLinked(inode)) others.set(inode, [])
      if (inode.type === 'symlink') symlinks.push(node)
      else files[inode.layer]!.push(node)
    }
  }
  for (const list of files) list.sort((a, b) => a.inode.entry - b.inode.entry)
  return { directories, symlinks, files, devices, others }
}

/** Yields the headers of names without content. Directories come before their content, whichever layer has it. */
function* headersOf(nodes: readonly Node[], others: Others): Generator<Buffer> {
  for (const node of nodes) {
    const { inode } = node
    const name = inode.type === 'directory' ? `${pathOf(node)}/` : pathOf(node)
    yield tarHeader({ ...inode, name, size: 0 })
    yield* hardLinks({ ...inode, name, size: 0 }, others.get(inode))
  }
}

async function* contentsOf(path: string, files: readonly Node[], others: Others, signal: AbortSignal) {
  let entry = 0
  let next = 0
  if (files.length === 0) return
  for await (const { header, content } of readTar(readLayer(path, signal), new LayerLimits())) {
    if (entry++ !== files[next]!.inode.entry) continue
    const { inode } = files[next]!
    const first = { ...header, name: pathOf(files[next]!) }
    yield tarHeader(first)
    yield* content()
    yield tarPadding(header.size)
    yield* hardLinks(first, others.get(inode))
    if (++next === files.length) return
  }
}

function* hardLinks(first: TarHeader, others: readonly Node[] = []): Generator<Buffer> {
  for (const node of others) {
    yield tarHeader({ ...first, type: 'link', size: 0, name: pathOf(node), linkname: first.name })
  }
}

/** Joins small pieces, so that a file of a few bytes does not take three writes. */
async function* batched(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let batch: Buffer[] = []
  let size = 0
  for await (const piece of pieces) {
    batch.push(piece)
    size += piece.length
    if (size < BATCH) continue
    yield batch.length === 1 ? piece : Buffer.concat(batch)
    batch = []
    size = 0
  }
  yield Buffer.concat(batch)
}
