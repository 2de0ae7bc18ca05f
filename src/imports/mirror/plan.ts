import { LONGEST_CHAIN } from '../../images/origins.ts'
import { isObject } from '../../images/rules.ts'
import type { Manifest } from '../../sources/imgapi-source.ts'
import { changedFields, digestOf } from './digest.ts'
import type { MirroredImage, MirrorRecord } from './record.ts'
import { isActivatedThere, isDisabledThere, select } from './select.ts'
import type { MirrorSettings } from './settings.ts'

/** What has to be done to be in step with a source: a pure function of what is there, what is here, and the settings. */

/** What is there. */
export interface Upstream {
  images: ReadonlyMap<string, Manifest>
  /** Asked for one by one, and known to be deleted. */
  gone: ReadonlySet<string>
  /** Why the manifest of an image cannot be taken; of these, `images` has the fields that are plain values. */
  unusable?: ReadonlyMap<string, string>
}

/** An image that is here, from wherever. */
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
  /** Bytes of its files, of an import. */
  size?: number
  /** The fields that change. */
  fields?: string[]
  reason?: string
}

export interface Plan {
  /** Origins come before what is made from them, children are deleted before their origins. */
  actions: Action[]
  /** The record once everything that takes no action has been noted down. */
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

export function makePlan(
  upstream: Upstream,
  local: Local,
  before: MirrorRecord,
  settings: Pick<MirrorSettings, 'include' | 'exclude' | 'onDelete'>,
): Plan {
  const record = takeStock(upstream, local, before)
  const imports = planImports(upstream, local, record, settings)
  const coming = new Set(imports.flatMap(({ action, uuid }) => (action === 'import' ? [uuid] : [])))
  const known = planKnown(upstream, local, record, settings.onDelete)
  const abandoned = record.making.filter(uuid => local.has(uuid) && !coming.has(uuid))
  const doomed = [
    ...known.doomed.map(uuid => ({ uuid, reason: 'the source has deleted it' })),
    ...abandoned.map(uuid => ({ uuid, reason: 'it was begun and is not wanted any more' })),
  ]
  const needed = imports.flatMap(({ action, uuid }) =>
    action === 'import' ? [{ uuid, origin: originOf(upstream.images.get(uuid)!) }] : [],
  )
  const deletes = planDeletes(doomed, local, needed)
  record.making = [...coming, ...abandoned]
  return { actions: [...known.actions, ...imports, ...deletes], record }
}

/** What has happened here since: images finished by a run that was killed, and images deleted by hand. */
function takeStock({ gone }: Upstream, local: Local, before: MirrorRecord): MirrorRecord {
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

/** Which image cannot come, and why. Those that are made from it cannot either. */
interface Obstacle {
  uuid: string
  problem: string
}

/** What is wanted and not here, with the origins that it needs. */
function planImports(
  { images, unusable }: Upstream,
  local: Local,
  record: MirrorRecord,
  settings: Pick<MirrorSettings, 'include' | 'exclude'>,
): Action[] {
  const actions: Action[] = []
  /** What is in the way of each image that was looked at; undefined if it is here or will be. */
  const verdicts = new Map<string, Obstacle | undefined>()
  /** How many images come in each chain, up to that one. */
  const lengths = new Map<string, number>()
  const isHere = (uuid: string) => local.get(uuid)?.isActivated === true
  const originToCome = (uuid: string) => {
    const manifest = images.get(uuid)
    return manifest && !isHere(uuid) ? originOf(manifest) : undefined
  }
  const need = (wanted: string): Obstacle | undefined => {
    const chain: string[] = []
    for (let next: string | undefined = wanted; next && !verdicts.has(next); next = originToCome(next)) {
      // Until it is judged, which in a circle it never is before itself.
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
    const reason = uuid === manifest.uuid ? problem : `cannot come: its origin ${uuid} ${problem}`
    return [describe('skip', manifest, { reason })]
  })
  return [...actions, ...skipped]
}

/** What becomes of the images that came from the source and are here. */
function planKnown(
  upstream: Upstream,
  local: Local,
  record: MirrorRecord,
  onDelete: MirrorSettings['onDelete'],
) {
  const actions: Action[] = []
  const doomed: string[] = []
  for (const [uuid, known] of Object.entries(record.images)) {
    const { manifest } = local.get(uuid)!
    const there = upstream.images.get(uuid)
    const problem = upstream.unusable?.get(uuid)
    if (problem) actions.push(describe('skip', manifest, { reason: problem }))
    else if (there) {
      const action = planUpdate(there, manifest, known)
      if (action) actions.push(action)
      else record.images[uuid] = asTaken(there, known.icon)
    } else if (!upstream.gone.has(uuid)) continue
    else if (onDelete === 'delete') doomed.push(uuid)
    else if (onDelete === 'disable' && !known.gone && manifest.disabled !== true) {
      actions.push(describe('disable', manifest, { reason: 'the source has deleted it' }))
    } else record.images[uuid] = { ...known, gone: true }
  }
  return { actions, doomed }
}

/** How a record knows an image whose manifest there has been taken over. */
export const asTaken = (there: Manifest, icon: boolean): MirroredImage => ({
  digest: digestOf(there),
  disabled: isDisabledThere(there),
  icon,
})

function planUpdate(there: Manifest, here: Manifest, known: MirroredImage): Action | undefined {
  if (sha1sOf(there) !== sha1sOf(here)) {
    return describe('skip', here, { reason: 'its files there are others than here' })
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

/** Children go first; an image with children that stay, or that come, stays too. */
function planDeletes(
  doomed: readonly { uuid: string; reason: string }[],
  local: Local,
  coming: readonly { uuid: string; origin: string | undefined }[],
): Action[] {
  const reasons = new Map(doomed.map(({ uuid, reason }) => [uuid, reason]))
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
  /** Children that are not gone yet. */
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
