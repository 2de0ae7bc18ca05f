import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import { sha1 } from '../support/api.ts'

/** What a power cut would leave of a folder, from the record that `shim.c` makes of all its changes. */

interface Entry {
  op: 'write' | 'resize' | 'sync' | 'create' | 'mkdir' | 'rename' | 'link' | 'unlink'
  inode: number
  path: string
  from: string
  at: number
  /** Of a write: the descriptor makes each durable. */
  synced: boolean
  /** Of a write: how many. */
  bytes: number
  size: number
  content: Buffer
  /** Where the entry ends in the record. */
  end: number
}

export function readRecord(path: string): Entry[] {
  const record = readFileSync(path)
  const entries: Entry[] = []
  for (let at = 0; at < record.length; ) {
    const end = record.indexOf('\n', at) + 1
    const entry: Entry = JSON.parse(record.toString('utf8', at, end))
    at = end
    if (entry.op === 'write') {
      entry.content = record.subarray(at, at + entry.bytes)
      at += entry.bytes + 1
    }
    entries.push({ ...entry, end: at })
  }
  return entries
}

class File {
  content = Buffer.alloc(0)
  durable = Buffer.alloc(0)
}

type Names = Map<string, File | Folder>

export class Folder {
  names: Names = new Map()
  durable: Names = new Map()
  /** What each name has led to since the last fsync. */
  readonly pending = new Map<string, (File | Folder | undefined)[]>()

  set(name: string, node: File | Folder | undefined) {
    if (node) this.names.set(name, node)
    else this.names.delete(name)
    this.pending.set(name, [...(this.pending.get(name) ?? []), node])
  }
}

/**
 * How much of what was not synced has reached the disk: nothing, everything, everything but the names in one folder,
 * or what chance decides.
 */
export type Left = 'nothing' | 'everything' | { allBut: Folder } | { random(): number }

export class RecordedDisk {
  readonly #path: string
  readonly #root = new Folder()
  readonly #nodes = new Map<number, File | Folder>()

  /** A folder that is empty, as far as the record is concerned, and durable. */
  constructor(path: string) {
    this.#path = path
    this.#nodes.set(statSync(path).ino, this.#root)
  }

  apply({ op, inode, path, from, at, synced, size, content }: Entry) {
    const node = this.#nodes.get(inode)
    if (op === 'create' || op === 'mkdir') {
      const made = op === 'create' ? new File() : new Folder()
      this.#nodes.set(inode, made)
      this.#set(path, made)
    } else if (op === 'unlink') this.#set(path, undefined)
    else if (op === 'link') this.#set(path, this.#find(from))
    else if (op === 'rename') {
      const moved = this.#find(from)
      this.#set(from, undefined)
      this.#set(path, moved)
    } else if (node instanceof Folder) {
      node.durable = new Map(node.names)
      node.pending.clear()
    } else if (node) {
      if (op === 'sync') node.durable = node.content
      else if (op === 'resize') node.content = resized(node.content, size)
      else {
        node.content = Buffer.from(resized(node.content, Math.max(node.content.length, at + content.length)))
        content.copy(node.content, at)
        if (synced) node.durable = node.content
      }
    }
  }

  /** The folders, but for those that are emptied at a start, of which not all names are synced. */
  unsynced(folder = this.#root): Folder[] {
    const below = [...folder.names]
      .filter(([name]) => name !== '.tmp')
      .flatMap(([, node]) => (node instanceof Folder ? this.unsynced(node) : []))
    return folder.pending.size > 0 ? [folder, ...below] : below
  }

  /** Writes what is left into an empty folder. Returns a digest of all of it. */
  write(target: string, left: Left): string {
    const seen: string[] = []
    const writeFolder = (folder: Folder, path: string) => {
      for (const [name, node] of [...namesLeft(folder, left)].sort(([a], [b]) => (a < b ? -1 : 1))) {
        const child = join(path, name)
        if (node instanceof Folder) {
          mkdirSync(join(target, child))
          seen.push(child)
          writeFolder(node, child)
        } else {
          const bytes = isLeft(left) ? node.content : node.durable
          writeFileSync(join(target, child), bytes)
          seen.push(`${child} ${sha1(bytes)}`)
        }
      }
    }
    writeFolder(this.#root, '')
    return sha1(Buffer.from(seen.join('\n')))
  }

  #find(path: string): File | Folder | undefined {
    let node: File | Folder | undefined = this.#root
    for (const name of relative(this.#path, path).split('/').filter(Boolean)) {
      node = node instanceof Folder ? node.names.get(name) : undefined
    }
    return node
  }

  #set(path: string, node: File | Folder | undefined) {
    const folder = this.#find(dirname(path))
    if (folder instanceof Folder) folder.set(basename(path), node)
  }
}

function isLeft(left: Left): boolean {
  if (left === 'everything' || left === 'nothing') return left === 'everything'
  return 'allBut' in left || left.random() < 0.5
}

function namesLeft(folder: Folder, left: Left): Names {
  const { names, durable, pending } = folder
  if (left === 'everything') return names
  if (left === 'nothing') return durable
  if ('allBut' in left) return left.allBut === folder ? durable : names
  const found = new Map(durable)
  for (const [name, nodes] of pending) {
    const states = [durable.get(name), ...nodes]
    const node = states[Math.floor(left.random() * states.length)]
    if (node) found.set(name, node)
    else found.delete(name)
  }
  return found
}

function resized(content: Buffer, size: number): Buffer<ArrayBuffer> {
  const next = Buffer.alloc(size)
  content.copy(next)
  return next
}
