import type { ImageRecord } from './record.ts'

/**
 * The file `<id>.meta` that the runtime reads: lines `KEY: value`. The format has no escape for a line break in a
 * value, joins a line that ends in a backslash with the next one, and has lists in single quotes without an
 * escape. Values from the config of an image must not become lines of their own.
 */

const FORMATS: ReadonlySet<string> = new Set(['squashfs', 'ext4', 'cramfs', 'xfs', 'VFS'])
export const isFormat = (format: string) => FORMATS.has(format)

export interface Meta {
  text: string
  /** Keys of values that the format cannot express. */
  leftOut: string[]
}

/** Renders the meta file of an image. `withAcl`: include the lists of a private image. */
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

/**
 * Renders a list as Python does, as far as the runtime reads it. Undefined if one item cannot be written: part of a
 * command would be another command.
 */
function list(items: readonly string[]): string | undefined {
  if (items.some(item => hasBreak(item) || item.includes("'"))) return undefined
  return `[${items.map(item => `'${item}'`).join(', ')}]`
}

/** Returns a value that is one line and does not continue; the runtime trims it. Undefined for others. */
const plain = (value: string) => (hasBreak(value) || /\\\s*$/.test(value) ? undefined : value)

/** Tests for line breaks, and for NUL, which ends a string in C. */
const hasBreak = (text: string) => /[\n\r\0\v\f\u0085\u2028\u2029]/.test(text)
