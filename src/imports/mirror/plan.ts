import { LONGEST_CHAIN } from '../../images/origins.ts'
import { isObject } from '../../images/rules.ts'
import type { Manifest } from '../../sources/imgapi-source.ts'
import { changedFields, digestOf } from './digest.ts'
import type { MirroredImage, MirrorRecord } from './record.ts'
import { isActivatedThere, isDisabledThere, select } from './select.ts'
import type { MirrorSettings } from './settings.ts'

/**
 * Computes what synchronizes the server with a source: a pure function of both sides, the record and the settings.
 */

/** The state of the source. */
export interface Upstream {
  images: ReadonlyMap<string, Manifest>
  /** Images that the source does not have any more, each confirmed by a request. */
  gone: ReadonlySet<string>
  /** Reasons why manifests are rejected; of these, `images` has the scalar fields. */
  unusable?: ReadonlyMap<string, string>
}

/** An image of this server, from any source. */
export interface LocalImage {
  manifest: Manifest
  isActivated: boolean
}

export type Local = ReadonlyMap<string, LocalImage>

export interface Action {
  action: 'import' | 'update' | 'disable' | 'delete' | 'skip'
  uuid: string
  name: string
  version: string
  /** Bytes of all files, for an import. */
  size?: number
  /** The fields that change. */
  fields?: string[]
  reason?: string
}

export interface Plan {
  /** Origins come before what is made from them, children are deleted before their origins. */
  actions: Action[]
  /** The record, updated by everything that needs no action. */
  record: MirrorRecord
}

const text = (value: unknown) => (typeof value === 'string' ? value : '')

const sizeOf = ({ files }: Manifest): number =>
  Array.isArray(files)
    ? files.reduce((total, file) => total + (isObject(file) ? Number(file.size) : 0), 0)
    : 0

const sha1sOf = ({ files }: Manifest) =>
  Array.isArray(files) ? files.map(file => (isObject(file) ? text(file.sha1) : '')).join() : ''

const originOf = ({ origin }: Manifest) => (typeof origin === 'string' ? origin : undefined)

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

function describe(action: Action['action'], manifest: Manifest, more: Partial<Action> = {}): Action {
  const { uuid, name, version } = manifest
  return { action, uuid: text(uuid), name: text(name), version: text(version), ...more }
}

/** The image that cannot be imported, and why. Images based on it cannot be imported either. */
interface Obstacle {
  uuid: string
  problem: string
}

/** Plans the imports of the selected images that are missing, with the origins that they need. */
function planImports(
  { images, unusable }: Upstream,
  local: Local,
  record: MirrorRecord,
  settings: Pick<MirrorSettings, 'include' | 'exclude'>,
): Action[] {
  const actions: Action[] = []
  /** The obstacle of each image examined; undefined if it exists or will be imported. */
  const verdicts = new Map<string, Obstacle | undefined>()
  /** Number of imports in the chain of origins up to each image. */
  const lengths = new Map<string, number>()
  const isHere = (uuid: string) => local.get(uuid)?.isActivated === true
  const originToCome = (uuid: string) => {
    const manifest = images.get(uuid)
    return manifest && !isHere(uuid) ? originOf(manifest) : undefined
  }
  const need = (wanted: string): Obstacle | undefined => {
    const chain: string[] = []
    for (let next: string | undefined = wanted; next && !verdicts.has(next); next = originToCome(next)) {
      // The verdict until the image is judged; in a circle of origins it stays.
      verdicts.set(next, { uuid: next, problem: 'is its own origin' })
      chain.push(next)
    }
    for (let index = chain.length - 1; index >= 0; index--) {
      const reason = index > 0 ? `origin of ${chain[index - 1]}` : undefined
      verdicts.set(chain[index]!, judge(chain[index]!, reason))
    }
    return verdicts.get(wanted)
  }
  const judge = (uuid: string, reason: string | undefined): Obstacle | undefined => {
    if (isHere(uuid)) return undefined
    const obstacle = (problem: string) => ({ uuid, problem })
    if (local.has(uuid) && !record.making.includes(uuid)) {
      return obstacle('is here, not activated, and not from this mirror')
    }
    if (record.removed.includes(uuid)) return obstacle('was deleted here by hand')
    const manifest = images.get(uuid)
    if (!manifest) return obstacle('is not at the source')
    if (!isActivatedThere(manifest)) return obstacle('is not activated at the source')
    const flaw = unusable?.get(uuid)
    if (flaw) return obstacle(flaw)
    const origin = originOf(manifest)
    const above = origin ? verdicts.get(origin) : undefined
    if (above) return above
    const length = ((origin && lengths.get(origin)) || 0) + 1
    if (length > LONGEST_CHAIN) return obstacle('has too many origins')
    lengths.set(uuid, length)
    actions.push(describe('import', manifest, { size: sizeOf(manifest), ...(reason && { reason }) }))
    return undefined
  }
  const skipped = select(images.values(), settings).flatMap(manifest => {
    const obstacle = need(text(manifest.uuid))
    if (!obstacle) return []
    const { uuid, problem } = obstacle
    const reason = uuid === manifest.uuid ? problem : `cannot be imported: its origin ${uuid} ${problem}`
    return [describe('skip', manifest, { reason })]
  })
  return [...actions, ...skipped]
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

/** Orders deletions, children first. Skips images that have children which stay or are being imported. */
function planDeletes(
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
