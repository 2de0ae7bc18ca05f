import { LONGEST_PART, partsOf, shownName, stepsOf, targetPartsOf, tooLong } from './layer-path.ts'
import { Limits } from './limits.ts'
import { TarError } from './tar-error.ts'
import type { EntryType, TarHeader } from './tar-header.ts'

/**
 * The tree of files that layers make together, put on top of each other from the bottom up (OCI image
 * specification, "Image Layer Filesystem Changeset"). It holds names and what headers say, never contents, and
 * exists in memory alone: there is nothing that a name could lead out of.
 */

/** What a name leads to; several names may lead to the same. */
export interface Inode {
  type: EntryType
  mode: number
  mtime: number
  /** Of a symbolic link. */
  linkname: string
  /** Where its content is: the number of its layer, and of its entry in that. */
  layer: number
  entry: number
}

/** A name in a directory. */
export interface Node {
  name: string
  /** The root has none. */
  parent: Node | undefined
  inode: Inode
  /** The last layer that said something of this name. */
  layer: number
  /** Of a directory. */
  children: Map<string, Node> | undefined
}

const WHITEOUT = '.wh.'
const OPAQUE = '.wh..wh..opq'
/** As many as Linux follows. */
const MOST_SYMLINKS = 40
const DEEPEST = 200
/** What a system takes for a path. */
const LONGEST_PATH = 4096

const newDirectory = (layer: number): Inode => ({
  ...{ type: 'directory', mode: 0o755, mtime: 0, linkname: '', layer, entry: -1 },
})

export class LayerTree {
  readonly root: Node = {
    ...{ name: '', parent: undefined, inode: newDirectory(-1), layer: -1, children: new Map() },
  }
  /** Those that have, or once had, more than one name. */
  readonly #linked = new Set<Inode>()
  readonly #limits: Limits

  constructor(limits = new Limits()) {
    this.#limits = limits
  }

  /** Adds an entry of a layer, which come in their order; those of lower layers come first. Throws TarError. */
  add(header: TarHeader, layer: number, entry: number) {
    const parts = partsOf(header.name)
    const last = parts.pop()
    if (last === undefined) this.#setRoot(header, layer, entry)
    else if (last === OPAQUE) this.#removeOlder(this.#find(parts), layer)
    else if (last.startsWith(WHITEOUT)) this.#whiteOut(parts, last.slice(WHITEOUT.length), layer)
    else this.#put(this.#folder(parts, layer), last, header, layer, entry)
  }

  /** Every name, each directory before what is in it. */
  nodes(): Generator<Node> {
    return below(this.root)
  }

  /** Whether there may be more than one name for it. */
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
    if (linkname.includes('\0')) throw new TarError(`the link "${shownName(header.name)}" leads to no name`)
    this.#limits.add('links', linkname.length)
    const inode = { type, mode, mtime, linkname, layer, entry }
    const before = folder.children!.get(name)
    // What was in the directory stays in it.
    if (before?.children && type === 'directory') Object.assign(before, { inode, layer })
    else this.#attach(folder, name, inode, layer)
  }

  /** Puts a name into a directory, in place of what has it. Throws TarError. */
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
    // A part of a string would keep all of it in memory.
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
    if (!found || found.children) throw new TarError(`${what} leads to nothing in the image`)
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

  /** What lower layers have in a directory goes; what this one has put there already stays. */
  #removeOlder(folder: Node | undefined, layer: number) {
    for (const [name, node] of folder?.children ?? []) {
      this.#limits.add('steps', 1)
      if (node.children) this.#removeOlder(node, layer)
      if (isOld(node, layer)) folder!.children!.delete(name)
    }
  }

  /** The directory of that name, as far as it is there. */
  #find(parts: readonly string[]): Node | undefined {
    return this.#walk(parts, () => undefined)
  }

  /** The directory of that name, made if it is missing. */
  #folder(parts: readonly string[], layer: number): Node {
    return this.#walk(parts, (parent, part) => {
      this.#limits.add('entries', 1)
      return this.#attach(parent, part, newDirectory(layer), layer)
    })!
  }

  /**
   * Goes down from the root. Symbolic links on the way are followed as a system would that has the tree for its
   * root: `..` above the root is the root. Throws TarError for links that go round in circles.
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
          throw new TarError(`symbolic links at "${shownName(part)}" go round in circles`)
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

function* below(folder: Node): Generator<Node> {
  for (const node of folder.children!.values()) {
    yield node
    if (node.children) yield* below(node)
  }
}

/** A folder of a lower layer with something of this one in it is this one's too. */
const isOld = (node: Node, layer: number) => node.layer < layer && !node.children?.size

/** From the root, without a slash at its begin. */
export function pathOf({ name, parent }: Node): string {
  let path = name
  for (let node = parent; node?.parent; node = node.parent) path = `${node.name}/${path}`
  return path
}
