import { createHash } from 'node:crypto'
import { lstatSync, readdirSync, readFileSync, readlinkSync, type Stats } from 'node:fs'

/**
 * What is below a folder: type, mode, content or target by name, `.` for the folder itself. Bytes of names as latin-1.
 * Files that are one have the same number, in the order of their names.
 */
export function describeTree(folder: string): Record<string, string> {
  const tree: Record<string, string> = {}
  const inodes = new Map<number, number>()
  const walk = (name: string) => {
    const path = Buffer.from(name === '.' ? folder : `${folder}/${name}`, 'latin1')
    const stats = lstatSync(path)
    tree[name] = describe(path, stats, inodes)
    if (!stats.isDirectory()) return
    const names = readdirSync(path, { encoding: 'latin1' }).sort()
    for (const child of names) walk(name === '.' ? child : `${name}/${child}`)
  }
  walk('.')
  return tree
}

function describe(path: Buffer, stats: Stats, inodes: Map<number, number>): string {
  const mode = (stats.mode & 0o7777).toString(8)
  if (stats.isDirectory()) return `folder ${mode}`
  if (stats.isSymbolicLink()) return `link to ${readlinkSync(path, 'latin1')}`
  if (!stats.isFile()) return 'device'
  if (stats.nlink > 1 && !inodes.has(stats.ino)) inodes.set(stats.ino, inodes.size + 1)
  const same = inodes.get(stats.ino)
  const content = createHash('sha1').update(readFileSync(path)).digest('hex')
  return `file ${mode} ${stats.size} ${content}${same === undefined ? '' : ` #${same}`}`
}
