import { isObject } from '../../images/rules.ts'
import type { Manifest } from '../../sources/imgapi/reader.ts'
import { describe, type Local, originOf, text, type Upstream } from './action.ts'
import { changedFields, digestOf } from './digest.ts'
import { planDeletes } from './plan-deletes.ts'
import { planImports } from './plan-imports.ts'
import type { MirroredImage, MirrorRecord } from './record.ts'
import { isDisabledThere } from './select.ts'
import type { MirrorSettings } from './settings.ts'
import type { Action } from './status.ts'

/**
 * Computes what synchronizes the server with a source: a pure function of both sides, the record and the settings.
 */

export interface Plan {
  /** Origins come before what is made from them, children are deleted before their origins. */
  actions: Action[]
  /** The record, updated by everything that needs no action. */
  record: MirrorRecord
}

const sha1sOf = ({ files }: Manifest) =>
  Array.isArray(files) ? files.map(file => (isObject(file) ? text(file.sha1) : '')).join() : ''

/** Returns the actions that are needed, and the record to save before they are executed. */
export function makePlan(
  upstream: Upstream,
  local: Local,
  before: MirrorRecord,
  settings: Pick<MirrorSettings, 'include' | 'exclude' | 'onDelete'>,
): Plan {
  const record = updateRecord(upstream, local, before)
  const imports = planImports(upstream, local, record, settings)
  const coming = new Set(imports.flatMap(({ action, uuid }) => (action === 'import' ? [uuid] : [])))
  const known = planKnown(upstream, local, record, settings.onDelete)
  const abandoned = record.making.filter(uuid => local.has(uuid) && !coming.has(uuid))
  const toDelete = [
    ...known.toDelete.map(uuid => ({ uuid, reason: 'the source has deleted it' })),
    ...abandoned.map(uuid => ({ uuid, reason: 'its import was begun and is not needed any more' })),
  ]
  const needed = imports.flatMap(({ action, uuid }) =>
    action === 'import' ? [{ uuid, origin: originOf(upstream.images.get(uuid)!) }] : [],
  )
  const deletes = planDeletes(toDelete, local, needed)
  record.making = [...coming, ...abandoned]
  return { actions: [...known.actions, ...imports, ...deletes], record }
}

/** Adds to the record the images that a killed run finished, and those that were deleted by hand. */
function updateRecord({ gone }: Upstream, local: Local, before: MirrorRecord): MirrorRecord {
  const record: MirrorRecord = { ...before, images: {}, removed: [...before.removed], making: [] }
  for (const uuid of before.making) {
    const here = local.get(uuid)
    if (here?.isActivated)
      record.images[uuid] = { digest: '', disabled: here.manifest.disabled === true, icon: false }
    else record.making.push(uuid)
  }
  for (const [uuid, image] of Object.entries(before.images)) {
    if (local.has(uuid)) record.images[uuid] = image
    else if (!image.gone && !gone.has(uuid)) record.removed.push(uuid)
  }
  record.removed = [...new Set(record.removed)]
  return record
}

/** Plans updates and deletions of the images that were imported from the source. */
function planKnown(
  upstream: Upstream,
  local: Local,
  record: MirrorRecord,
  onDelete: MirrorSettings['onDelete'],
) {
  const actions: Action[] = []
  const toDelete: string[] = []
  for (const [uuid, known] of Object.entries(record.images)) {
    const { manifest } = local.get(uuid)!
    const there = upstream.images.get(uuid)
    const problem = upstream.unusable?.get(uuid)
    if (problem) actions.push(describe('skip', manifest, { reason: problem }))
    else if (there) {
      const action = planUpdate(there, manifest, known)
      if (action) actions.push(action)
      else record.images[uuid] = asMirrored(there, known.icon)
    } else if (!upstream.gone.has(uuid)) continue
    else if (onDelete === 'delete') toDelete.push(uuid)
    else if (onDelete === 'disable' && !known.gone && manifest.disabled !== true) {
      actions.push(describe('disable', manifest, { reason: 'the source has deleted it' }))
    } else record.images[uuid] = { ...known, gone: true }
  }
  return { actions, toDelete }
}

/** Returns the record of an image whose current manifest has been imported. */
export const asMirrored = (there: Manifest, icon: boolean): MirroredImage => ({
  digest: digestOf(there),
  disabled: isDisabledThere(there),
  icon,
})

function planUpdate(there: Manifest, here: Manifest, known: MirroredImage): Action | undefined {
  if (sha1sOf(there) !== sha1sOf(here)) {
    return describe('skip', here, { reason: 'its files at the source differ from those here' })
  }
  const isChanged = known.gone === true || known.digest !== digestOf(there)
  const isSwitched = known.gone === true || known.disabled !== isDisabledThere(there)
  const fields = [
    ...(isChanged ? changedFields(there, here) : []),
    ...(isSwitched && isDisabledThere(there) !== (here.disabled === true) ? ['disabled'] : []),
    ...((there.icon === true) !== known.icon ? ['icon'] : []),
  ]
  return fields.length > 0 ? describe('update', there, { fields }) : undefined
}
