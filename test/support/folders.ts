import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** What is on disk, for tests that compare before and after. */

/** Every file and folder below: its time and, of files, its bytes. Names in `except` are left out at the top. */
export function treeOf(root: string, { except = [] as string[] } = {}): Record<string, string> {
  const tree: Record<string, string> = {}
  const walk = (path: string) => {
    for (const name of readdirSync(join(root, path)).sort()) {
      if (path === '' && except.includes(name)) continue
      const child = join(path, name)
      const stat = statSync(join(root, child))
      const content = stat.isFile() ? createHash('sha1').update(readFileSync(join(root, child))) : undefined
      tree[child] = `${stat.mtimeMs} ${content?.digest('hex') ?? 'folder'}`
      if (stat.isDirectory()) walk(child)
    }
  }
  walk('')
  return tree
}

/** What is in a folder; nothing if there is none. */
export const namesIn = (folder: string) => (existsSync(folder) ? readdirSync(folder).sort() : [])

/** The texts of the files in a folder that a server writes to; a file that is removed meanwhile is left out. */
export const textsIn = (folder: string): string[] =>
  namesIn(folder).flatMap(name => {
    try {
      return [readFileSync(join(folder, name), 'utf8')]
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
      throw error
    }
  })

/** The descriptors that a process has open on files below a folder, deleted ones included. */
export function openFilesBelow(folder: string, pid: number | 'self' = 'self'): string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap(fd => {
    try {
      const target = readlinkSync(`/proc/${pid}/fd/${fd}`)
      return target.startsWith(folder) ? [target] : []
    } catch {
      return []
    }
  })
}
