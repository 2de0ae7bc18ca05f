import { TarError } from '../util/tar/tar-error.ts'
import { type EntryType, shownName, type TarHeader } from '../util/tar/tar-header.ts'
import { LONGEST_PART, partsOf, stepsOf, targetPartsOf, tooLong } from './layer-path.ts'
import { LayerLimits } from './limits.ts'

/**
 * The file tree of an image: its layers applied from the lowest up (OCI image specification, "Image Layer Filesystem
 * Changeset"). It holds names and headers, not contents, and exists in memory only, so that no name can escape to the
 * file system of the server.
 */

/** What a name refers to; several names may refer to the same inode. */
export interface Inode {
  type: EntryType
  mode: number
  mtime: number
  /** The target of a symbolic link; empty for other types. */
  linkname: string
  /** The position of its content: the number of the layer, and of the entry in the layer. */
  layer: number
  entry: number
}

/** A name in a directory. */
export interface Node {
  name: string
  /** Undefined for the root. */
  parent: Node | undefined
  inode: Inode
  /** The last layer that has this name. */
  layer: number
  /** Undefined for anything but a directory. */
  children: Map<string, Node> | undefined
}

const WHITEOUT = '.wh.'
const OPAQUE = '.wh..wh..opq'
/** The limit of Linux for one path. */
const MOST_SYMLINKS = 40
const DEEPEST = 200
/** The longest path of Linux, in bytes. */
const LONGEST_PATH = 4096

const newDirectory = (layer: number): Inode => ({
  ...{ type: 'directory', mode: 0o755, mtime: 0, linkname: '', layer, entry: -1 },
})

/** The merged tree, to which entries are added in the order of the layers. */
export class LayerTree {
  readonly root: Node = {
    ...{ name: '', parent: undefined, inode: newDirectory(-1), layer: -1, children: new Map() },
  }
  /** Inodes that have, or had, more than one name. */
  readonly #linked = new Set<Inode>()
  readonly #limits: LayerLimits

  constructor(limits = new LayerLimits()) {
    this.#limits = limits
  }

  /** Adds an entry of a layer. Entries are added in archive order, lower layers first. Throws TarError. */
  add(header: TarHeader, layer: number, entry: number) {
    const parts = partsOf(header.name)
    const last = parts.pop()
    if (last === undefined) this.#setRoot(header, layer, entry)
    else if (last === OPAQUE) this.#removeOlder(this.#find(parts), layer)
    else if (last.startsWith(WHITEOUT)) this.#whiteOut(parts, last.slice(WHITEOUT.length), layer)
    else this.#put(this.#folder(parts, layer), last, header, layer, entry)
  }

  /** Yields all names but the root, each directory before its content. */
  nodes(): Generator<Node> {
    return descendants(this.root)
  }

  /** Returns whether the inode may have more than one name. */
  isLinked(inode: Inode): boolean {
    return this.#linked.has(inode)
  }

  #setRoot({ type, mode, mtime }: TarHeader, layer: number, entry: number) {
    if (type !== 'directory') return
    this.root.inode = { type, mode, mtime, linkname: '', layer, entry }
  }

  #put(folder: Node, name: string, header: TarHeader, layer: number, entry: number) {
    if (header.type === 'link') {
      this.#attach(folder, name, this.#target(header), layer)
      return
    }
    const { type, mode, mtime } = header
    const linkname = type === 'symlink' ? header.linkname : ''
    if (linkname.includes('\0'))
      throw new TarError(`the link "${shownName(header.name)}" has a target with a zero byte`)
    this.#limits.add('links', linkname.length)
    const inode = { type, mode, mtime, linkname, layer, entry }
    const before = folder.children!.get(name)
    // A directory that exists in a lower layer keeps its content.
    if (before?.children && type === 'directory') Object.assign(before, { inode, layer })
    else this.#attach(folder, name, inode, layer)
  }

  /** Adds a name to a directory, or replaces it. Throws TarError for a name beyond the limits. */
  #attach(folder: Node, name: string, inode: Inode, layer: number): Node {
    let length = name.length
    let depth = 1
    for (let node: Node | undefined = folder; node?.parent; node = node.parent) {
      length += node.name.length + 1
      depth++
    }
    if (name.length > LONGEST_PART || length > LONGEST_PATH || depth > DEEPEST)
      throw tooLong(`the name "${shownName(name)}"`)
    this.#limits.add('names', length)
    const children = inode.type === 'directory' ? new Map() : undefined
    // A copy: a slice of a string would retain all of it.
    const own = Buffer.from(name, 'latin1').toString('latin1')
    const node = { name: own, parent: folder, inode, layer, children }
    folder.children!.set(own, node)
    return node
  }

  #target({ name, linkname }: TarHeader): Inode {
    const what = `the hard link "${shownName(name)}"`
    const parts = targetPartsOf(linkname, what)
    const last = parts.pop()
    const found = last === undefined ? undefined : this.#find(parts)?.children?.get(last)
    if (!found || found.children) throw new TarError(`${what} has a target that does not exist in the image`)
    this.#linked.add(found.inode)
    return found.inode
  }

  #whiteOut(parts: string[], name: string, layer: number) {
    const folder = this.#find(parts)
    const hidden = folder?.children?.get(name)
    if (!hidden) return
    if (hidden.children) this.#removeOlder(hidden, layer)
    if (isOld(hidden, layer)) folder!.children!.delete(name)
  }

  /** Removes what lower layers have in a directory, and leaves what this layer has added to it. */
  #removeOlder(folder: Node | undefined, layer: number) {
    for (const [name, node] of folder?.children ?? []) {
      this.#limits.add('steps', 1)
      if (node.children) this.#removeOlder(node, layer)
      if (isOld(node, layer)) folder!.children!.delete(name)
    }
  }

  /** Returns the directory with that path, if it exists. */
  #find(parts: readonly string[]): Node | undefined {
    return this.#walk(parts, () => undefined)
  }

  /** Returns the directory with that path, and creates it if it is missing. */
  #folder(parts: readonly string[], layer: number): Node {
    return this.#walk(parts, (parent, part) => {
      this.#limits.add('entries', 1)
      return this.#attach(parent, part, newDirectory(layer), layer)
    })!
  }

  /**
   * Resolves a path from the root, with the directories that `make` returns for missing ones. Symbolic links are
   * followed as if the tree were the root file system: `..` above the root is the root. Throws TarError for a loop of
   * symbolic links.
   */
  #walk(parts: readonly string[], make: (parent: Node, part: string) => Node | undefined): Node | undefined {
    const rest = [...parts].reverse()
    let folder = this.root
    for (let followed = 0; rest.length > 0; ) {
      this.#limits.add('steps', 1)
      const part = rest.pop()!
      if (part === '..') {
        folder = folder.parent ?? folder
        continue
      }
      const found = folder.children!.get(part)
      if (found?.inode.type === 'symlink') {
        if (++followed > MOST_SYMLINKS) {
          throw new TarError(`symbolic links at "${shownName(part)}" form a loop`)
        }
        const { linkname } = found.inode
        if (linkname.startsWith('/')) folder = this.root
        rest.push(...stepsOf(linkname).reverse())
        continue
      }
      const next = found?.children ? found : make(folder, part)
      if (!next) return undefined
      folder = next
    }
    return folder
  }
}

function* descendants(folder: Node): Generator<Node> {
  for (const node of folder.children!.values()) {
    yield node
    if (node.children) yield* descendants(node)
  }
}

/** Returns whether a name belongs to lower layers only: a directory with content of this layer does not. */
const isOld = (node: Node, layer: number) => node.layer < layer && !node.children?.size

/** Returns the path of a name from the root, without a slash at the start. */
export function pathOf({ name, parent }: Node): string {
  let path = name
  for (let node = parent; node?.parent; node = node.parent) path = `${node.name}/${path}`
  return path
}
