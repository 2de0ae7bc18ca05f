import type { ImageRecord } from './record.ts'

/**
 * The file `<id>.meta` that the runtime reads: lines `KEY: value`. It knows no way to write a line break into a
 * value, goes on at the next line after a backslash at the end, and knows lists in single quotes without any
 * escape. What an image says of itself must not become a line of ours.
 */

const FORMATS: ReadonlySet<string> = new Set(['squashfs', 'ext4', 'cramfs', 'xfs', 'VFS'])
export const isFormat = (format: string) => FORMATS.has(format)

export interface Meta {
  text: string
  /** What could not be written, by its key. */
  leftOut: string[]
}

/** `withAcl`: write the lists of a private image. */
export function renderMeta(record: ImageRecord, { withAcl }: { withAcl: boolean }): Meta {
  const lines = [`FORMAT: ${record.format}`]
  const leftOut = new Set<string>()
  const add = (key: string, value: string | undefined) => {
    if (value === undefined) leftOut.add(key)
    else lines.push(`${key}: ${value}`)
  }
  const { entry = [], cmd = [], workdir, env = [] } = record.image ?? {}
  if (entry.length > 0) add('ENTRY', list(entry))
  if (cmd.length > 0) add('CMD', list(cmd))
  if (workdir) add('WORKDIR', plain(workdir))
  if (withAcl && record.isPrivate) {
    lines.push(
      `USERACL: ${(record.userACL ?? []).join(',')}`,
      `GROUPACL: ${(record.groupACL ?? []).join(',')}`,
    )
  }
  for (const one of env) add('ENV', plain(one))
  return { text: `${lines.join('\n')}\n`, leftOut: [...leftOut] }
}

/** Python's way to write a list, as far as the runtime reads it. Half a command would be another command. */
function list(items: readonly string[]): string | undefined {
  if (items.some(item => hasBreak(item) || item.includes("'"))) return undefined
  return `[${items.map(item => `'${item}'`).join(', ')}]`
}

/** A value that is one line and ends there; the runtime trims it. */
const plain = (value: string) => (hasBreak(value) || /\\\s*$/.test(value) ? undefined : value)

/** Line breaks, and the end of every string in C. */
const hasBreak = (text: string) => /[\n\r\0\v\f\u0085\u2028\u2029]/.test(text)
