import { TarError, type TarHeader } from './tar-reader.ts'

/**
 * The tree of files that layers make together, put on top of each other from the bottom up (OCI image
 * specification, "Image Layer Filesystem Changeset"). It holds names and headers, never contents, and exists
 * in memory alone: there is nothing that a name could lead out of.
 */

/** What a name leads to; several names may lead to the same. */
export interface Inode {
  header: TarHeader
  /** Where its content is: the number of its layer, and of its entry in that. */
  layer: number
  entry: number
}

interface Node {
  inode: Inode
  /** The last layer that said something of this name. */
  layer: number
  /** Of a directory. */
  children?: Map<string, Node>
}

const WHITEOUT = '.wh.'
const OPAQUE = '.wh..wh..opq'
/** As many as Linux follows. */
const MOST_SYMLINKS = 40
/** More than any image has; each costs some hundred bytes of memory. */
const MOST_NODES = 2_000_000
const DEEPEST = 200
const LONGEST_PART = 255

const directory = (layer: number): Node => ({
  inode: {
    header: { name: '', type: 'directory', linkname: '', size: 0, mode: 0o755, uid: 0, gid: 0, mtime: 0 },
    layer,
    entry: -1,
  },
  layer,
  children: new Map(),
})

/** Throws TarError for a name that leads out of the tree. */
function partsOf(name: string, what: string): string[] {
  const parts = name.split('/').filter(part => part !== '' && part !== '.')
  if (parts.includes('..') || parts.some(part => part.includes('\0'))) {
    throw new TarError(`${what} leads out of the image`)
  }
  if (parts.length > DEEPEST || parts.some(part => part.length > LONGEST_PART)) {
    throw new TarError(`${what} is longer than systems allow`)
  }
  return parts
}

/** For messages: bytes that are UTF-8 as text. */
const shown = (name: string) => Buffer.from(name, 'latin1').toString().slice(0, 200)

export class LayerTree {
  readonly #root = directory(-1)
  #nodes = 0

  /** Adds an entry of a layer, which come in their order; those of lower layers come first. Throws TarError. */
  add(header: TarHeader, layer: number, entry: number) {
    const parts = partsOf(header.name, `the name "${shown(header.name)}"`)
    const last = parts.pop()
    if (last === undefined) return
    this.#count()
    if (last === OPAQUE) removeOlder(this.#folder(parts, layer), layer)
    else if (last.startsWith(WHITEOUT)) this.#whiteOut(parts, last.slice(WHITEOUT.length), layer)
    else this.#put(this.#folder(parts, layer), last, header, layer, entry)
  }

  #count() {
    if (++this.#nodes > MOST_NODES) throw new TarError(`the image has more than ${MOST_NODES} files`)
  }

  #put(folder: Node, name: string, header: TarHeader, layer: number, entry: number) {
    // Whoever uses the image has no use for them, and who may not make any could not unpack it.
    if (header.type === 'device') {
      folder.children!.delete(name)
      return
    }
    if (header.type === 'link') {
      folder.children!.set(name, { inode: this.#target(header), layer })
      return
    }
    const before = folder.children!.get(name)
    const inode = { header, layer, entry }
    if (header.type !== 'directory') folder.children!.set(name, { inode, layer })
    else folder.children!.set(name, { inode, layer, children: before?.children ?? new Map() })
  }

  #target({ name, linkname }: TarHeader): Inode {
    const what = `the hard link "${shown(name)}"`
    const parts = partsOf(linkname, what)
    const last = parts.pop()
    const found = last === undefined ? undefined : this.#find(parts)?.children?.get(last)
    if (!found || found.children) throw new TarError(`${what} leads to nothing in the image`)
    return found.inode
  }

  #whiteOut(parts: string[], name: string, layer: number) {
    const folder = this.#find(parts)
    const hidden = folder?.children?.get(name)
    if (!hidden) return
    if (hidden.children) removeOlder(hidden, layer)
    if (isOld(hidden, layer)) folder!.children!.delete(name)
  }

  /** The directory of that name, as far as it is there. */
  #find(parts: readonly string[]): Node | undefined {
    return this.#walk(parts, () => undefined)
  }

  /** The directory of that name, made if it is missing. */
  #folder(parts: readonly string[], layer: number): Node {
    return this.#walk(parts, (parent, part) => {
      this.#count()
      const made = directory(layer)
      parent.children!.set(part, made)
      return made
    })!
  }

  /**
   * Goes down from the root. Symbolic links on the way are followed as a system would that has the tree for its
   * root: `..` above the root is the root. Throws TarError for links that go round in circles.
   */
  #walk(parts: readonly string[], make: (parent: Node, part: string) => Node | undefined): Node | undefined {
    const rest = [...parts].reverse()
    let path = [this.#root]
    for (let followed = 0; rest.length > 0; ) {
      const part = rest.pop()!
      if (part === '..') {
        if (path.length > 1) path.pop()
        continue
      }
      const parent = path.at(-1)!
      const found = parent.children!.get(part)
      if (found?.inode.header.type === 'symlink') {
        if (++followed > MOST_SYMLINKS)
          throw new TarError(`symbolic links at "${shown(part)}" go round in circles`)
        const { linkname } = found.inode.header
        if (linkname.startsWith('/')) path = [this.#root]
        rest.push(
          ...linkname
            .split('/')
            .filter(step => step !== '' && step !== '.')
            .reverse(),
        )
        continue
      }
      const next = found?.children ? found : make(parent, part)
      if (!next) return undefined
      path.push(next)
    }
    return path.at(-1)
  }

  /** Every name with what it leads to, each directory before what is in it. */
  *entries(): Generator<[name: string, inode: Inode]> {
    yield* below(this.#root, '')
  }
}

function* below(folder: Node, prefix: string): Generator<[name: string, inode: Inode]> {
  for (const [name, node] of folder.children!) {
    const path = prefix + name
    yield [path, node.inode]
    if (node.children) yield* below(node, `${path}/`)
  }
}

/** What lower layers have in a directory goes; what this one has put there already stays. */
function removeOlder(folder: Node, layer: number) {
  for (const [name, node] of folder.children!) {
    if (node.children) removeOlder(node, layer)
    if (isOld(node, layer)) folder.children!.delete(name)
  }
}

/** A folder of a lower layer with something of this one in it is this one's too. */
const isOld = (node: Node, layer: number) => node.layer < layer && !node.children?.size
