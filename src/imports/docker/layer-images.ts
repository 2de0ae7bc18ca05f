import { createHash } from 'node:crypto'
import { OSES } from '../../images/fields.ts'
import { type ImageName, shortName } from '../../sources/registry/image-name.ts'
import type { Descriptor, ImageConfig } from '../../sources/registry/manifest.ts'
import type { RegistryImage } from '../../sources/registry/registry-client.ts'

/** A docker image as images of type docker: one a layer, each the origin of the next (contract, section 11). */

export interface LayerImage {
  /** Derived from the digests of the layers, so every server assigns the same one. */
  uuid: string
  layer: Descriptor
  manifest: Record<string, unknown> & { uuid: string }
}

/** The maximum length of a description in a manifest, in characters. */
const LONGEST_DESCRIPTION = 10_240

/** Shortens a digest as docker displays it. */
export const shortDigest = (digest: string) => digest.replace(/^sha256:/, '').slice(0, 12)

/** Returns one image per layer, bottom first. Their UUIDs depend on the layers only. */
export function layerImages(
  name: ImageName,
  { layers, config }: RegistryImage,
  { isPublic, now }: { isPublic: boolean; now: Date },
): LayerImage[] {
  const steps = (config.history ?? []).filter(({ empty_layer }) => !empty_layer)
  const shared = { v: 2, name: 'docker-layer', type: 'docker', public: isPublic }
  const digests: string[] = []
  let origin: string | undefined
  return layers.map((layer, index) => {
    digests.push(layer.digest)
    const uuid = uuidOf(digests)
    const step = steps[index]
    // The config is that of the last layer; of the others only the step that made it is known.
    const head = index === layers.length - 1 ? config : undefined
    const description = (head?.comment || step?.created_by || '').slice(0, LONGEST_DESCRIPTION)
    const manifest = {
      ...shared,
      uuid,
      version: shortDigest(layer.digest),
      os: OSES.find(known => known === head?.os) ?? 'other',
      published_at: dateOf(step?.created) ?? dateOf(config.created) ?? now.toISOString(),
      ...(description && { description }),
      ...(origin && { origin }),
      tags: {
        'docker:repo': shortName(name),
        'docker:id': layer.digest,
        ...(head?.architecture && { 'docker:architecture': head.architecture }),
        ...(head?.config && { 'docker:config': configTag(head.config) }),
      },
    }
    origin = uuid
    return { uuid, layer, manifest }
  })
}

/** The first half of the digest of all digests up to a layer. */
function uuidOf(digests: readonly string[]): string {
  const hex = createHash('sha256').update(digests.join(' ')).digest('hex').slice(0, 32)
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

/** Returns the entries of the config that are set, of those that the reference stores. */
const configTag = (config: NonNullable<ImageConfig['config']>) =>
  Object.fromEntries(
    ['Cmd', 'Entrypoint', 'Env', 'WorkingDir'].flatMap(key => (key in config ? [[key, config[key]]] : [])),
  )

function dateOf(text: string | null | undefined): string | undefined {
  const time = Date.parse(text ?? '')
  return Number.isNaN(time) ? undefined : new Date(time).toISOString()
}
