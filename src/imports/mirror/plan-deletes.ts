import { describe, type Local, originOf } from './action.ts'
import type { Action } from './status.ts'

/** Orders deletions, children first. Skips images that have children which stay or are being imported. */
export function planDeletes(
  toDelete: readonly { uuid: string; reason: string }[],
  local: Local,
  coming: readonly { uuid: string; origin: string | undefined }[],
): Action[] {
  const reasons = new Map(toDelete.map(({ uuid, reason }) => [uuid, reason]))
  const children = new Map<string, Set<string>>()
  const all = [...coming, ...[...local].map(([uuid, { manifest }]) => ({ uuid, origin: originOf(manifest) }))]
  for (const { uuid, origin } of all) {
    if (!origin || origin === uuid) continue
    const siblings = children.get(origin)
    if (siblings) siblings.add(uuid)
    else children.set(origin, new Set([uuid]))
  }
  const childrenOf = (uuid: string) => children.get(uuid) ?? new Set<string>()
  const gone = new Set<string>()
  const actions: Action[] = []
  /** Number of children that are not deleted yet. */
  const left = new Map([...reasons.keys()].map(uuid => [uuid, childrenOf(uuid).size]))
  const ready = [...reasons.keys()].filter(uuid => left.get(uuid) === 0)
  for (const uuid of ready) {
    const { manifest } = local.get(uuid)!
    gone.add(uuid)
    actions.push(describe('delete', manifest, { reason: reasons.get(uuid)! }))
    const parent = originOf(manifest)
    if (!parent || !left.has(parent)) continue
    left.set(parent, left.get(parent)! - 1)
    if (left.get(parent) === 0) ready.push(parent)
  }
  for (const [uuid, reason] of reasons) {
    if (gone.has(uuid)) continue
    const staying = [...childrenOf(uuid)].filter(child => !gone.has(child))
    const why = `${reason}, but images here are made from it: ${staying.join(', ')}`
    actions.push(describe('skip', local.get(uuid)!.manifest, { reason: why }))
  }
  return actions
}
