import type { Manifest } from '../../sources/imgapi/reader.ts'
import type { Action } from './status.ts'

/** What a plan is made from, and how its actions are made. */

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

/** Returns a field of a manifest from elsewhere, or an empty text for any other value. */
export const text = (value: unknown) => (typeof value === 'string' ? value : '')

export const originOf = ({ origin }: Manifest) => (typeof origin === 'string' ? origin : undefined)

/** Returns the action for the image of a manifest. */
export function describe(action: Action['action'], manifest: Manifest, more: Partial<Action> = {}): Action {
  const { uuid, name, version } = manifest
  return { action, uuid: text(uuid), name: text(name), version: text(version), ...more }
}
