import { LONGEST_CHAIN } from '../../images/origins.ts'
import { isObject } from '../../images/rules.ts'
import type { Manifest } from '../../sources/imgapi/reader.ts'
import { describe, type Local, originOf, text, type Upstream } from './action.ts'
import type { MirrorRecord } from './record.ts'
import { isActivatedThere, select } from './select.ts'
import type { MirrorSettings } from './settings.ts'
import type { Action } from './status.ts'

/** The image that cannot be imported, and why. Images based on it cannot be imported either. */
interface Obstacle {
  uuid: string
  problem: string
}

/** Plans the imports of the selected images that are missing, with the origins that they need. */
export function planImports(
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

const sizeOf = ({ files }: Manifest): number =>
  Array.isArray(files)
    ? files.reduce((total, file) => total + (isObject(file) ? Number(file.size) : 0), 0)
    : 0
