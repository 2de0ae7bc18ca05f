import { createHash } from 'node:crypto'
import { isObject } from '../../images/rules.ts'

/** What counts as a change of a manifest. */

/** Fields that are compared separately or are specific to a server. */
const NOT_COMPARED = new Set(['uuid', 'state', 'disabled', 'files', 'icon', 'channels', 'error'])

/** Returns the same text for equal values, whatever the order of their keys. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`
  if (!isObject(value)) return JSON.stringify(value) ?? 'null'
  const entries = Object.keys(value)
    .sort()
    .map(key => `${JSON.stringify(key)}:${canonical(value[key])}`)
  return `{${entries.join()}}`
}

const compared = (manifest: Record<string, unknown>) =>
  Object.fromEntries(
    Object.entries(manifest).filter(([key, value]) => !NOT_COMPARED.has(key) && value !== null),
  )

export const digestOf = (manifest: Record<string, unknown>) =>
  createHash('sha1')
    .update(canonical(compared(manifest)))
    .digest('hex')

/** Returns the fields in which two manifests differ. */
export function changedFields(a: Record<string, unknown>, b: Record<string, unknown>): string[] {
  const first: Record<string, unknown> = compared(a)
  const second: Record<string, unknown> = compared(b)
  const keys = new Set([...Object.keys(first), ...Object.keys(second)])
  return [...keys].filter(key => canonical(first[key]) !== canonical(second[key])).sort()
}
