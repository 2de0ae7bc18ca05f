import { createHash } from 'node:crypto'
import { OSES } from '../images/fields.ts'
import { type ImageName, shortName } from '../registry/image-name.ts'
import type { Descriptor, ImageConfig } from '../registry/manifest.ts'
import type { RegistryImage } from '../registry/registry-client.ts'

/** A docker image as images of type docker: one a layer, each the origin of the next (contract, section 11). */

export interface LayerImage {
  /** The same for the same layers, whoever imports them. */
  uuid: string
  layer: Descriptor
  manifest: Record<string, unknown> & { uuid: string }
}

/** As docker shows digests. */
export const shortDigest = (digest: string) => digest.replace(/^sha256:/, '').slice(0, 12)

export function layerImages(
  name: ImageName,
  { layers, config }: RegistryImage,
  { isPublic, now }: { isPublic: boolean; now: Date },
): LayerImage[] {
  const created = datesOfLayers(config)
  const os = OSES.find(known => known === config.os) ?? 'other'
  const shared = {
    v: 2,
    name: 'docker-layer',
    type: 'docker',
    os,
    public: isPublic,
  }
  const digests: string[] = []
  let origin: string | undefined
  return layers.map((layer, index) => {
    digests.push(layer.digest)
    const uuid = uuidOf(digests)
    const isHead = index === layers.length - 1
    const manifest = {
      ...shared,
      uuid,
      version: shortDigest(layer.digest),
      published_at: created[index] ?? dateOf(config.created) ?? now.toISOString(),
      ...(origin && { origin }),
      tags: {
        'docker:repo': shortName(name),
        'docker:id': layer.digest,
        'docker:architecture': config.architecture ?? 'unknown',
        ...(isHead && { 'docker:config': configTag(config) }),
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

const configTag = ({ config }: ImageConfig) => ({
  Cmd: config?.Cmd ?? null,
  Entrypoint: config?.Entrypoint ?? null,
  Env: config?.Env ?? null,
  WorkingDir: config?.WorkingDir ?? '',
})

const datesOfLayers = ({ history }: ImageConfig) =>
  (history ?? []).filter(({ empty_layer }) => !empty_layer).map(({ created }) => dateOf(created))

function dateOf(text: string | null | undefined): string | undefined {
  const time = Date.parse(text ?? '')
  return Number.isNaN(time) ? undefined : new Date(time).toISOString()
}
