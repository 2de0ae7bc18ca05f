import PQueue from 'p-queue'
import { ImgapiError } from '../../images/errors.ts'
import { isActivated, toManifest } from '../../images/image.ts'
import type { Images } from '../../images/images.ts'
import { readManifest } from '../../images/intake.ts'
import { imagesOf } from '../../images/listing.ts'
import { LONGEST_CHAIN } from '../../images/origins.ts'
import { SourceError } from '../../sources/http-client.ts'
import type { Manifest } from '../../sources/imgapi/reader.ts'
import type { ImgapiSource } from '../../sources/imgapi/source.ts'
import { type RetryPolicy, withRetries } from '../../sources/retry.ts'
import type { Local, Upstream } from './action.ts'
import type { MirrorRecord } from './record.ts'
import { select } from './select.ts'
import type { MirrorSettings } from './settings.ts'

/** Reads which images the source and this server have. */

/** Few, so that a source that is down is reported soon; the next run retries anyway. */
const MOST_RETRIES = 2
/** Concurrent requests for single manifests. */
const AT_ONCE = 4

export interface SurveyTools {
  source: ImgapiSource
  retry: RetryPolicy
  signal: AbortSignal
}

/**
 * Fetches the manifests that the source lists, and those of unlisted images that the plan needs: origins, which may be
 * disabled, and images imported earlier. Throws SourceError.
 */
export async function surveyUpstream(
  { source, retry, signal }: SurveyTools,
  settings: Pick<MirrorSettings, 'include' | 'exclude'>,
  record: MirrorRecord,
): Promise<Upstream> {
  const policy = { ...retry, retries: Math.min(retry.retries, MOST_RETRIES) }
  const ask = <T>(question: () => Promise<T>) => withRetries(question, { retry: policy, signal })
  const listed = await ask(() => source.listManifests(signal))
  // The source may have been started on the wrong directory: do not delete all images because of that.
  if (listed.length === 0 && Object.keys(record.images).length > 0) {
    throw new SourceError(`${source.label} lists no image at all`)
  }
  const images = new Map<string, Manifest>()
  const gone = new Set<string>()
  const unusable = new Map<string, string>()
  const add = (manifest: Manifest) => {
    const { normalized, problem } = normalize(manifest)
    images.set(manifest.uuid, normalized)
    if (problem) unusable.set(manifest.uuid, problem)
  }
  for (const manifest of listed) add(manifest)
  const queue = new PQueue({ concurrency: AT_ONCE })
  const askFor = async (uuids: Iterable<string>) => {
    const unknown = [...new Set(uuids)].filter(uuid => !images.has(uuid) && !gone.has(uuid))
    await queue.addAll(
      unknown.map(uuid => async () => {
        const manifest = await ask(() => source.findImage(uuid, signal))
        if (manifest) add(manifest)
        else gone.add(uuid)
      }),
    )
  }
  await askFor([...Object.keys(record.images), ...record.making])
  let next: Manifest[] = select(images.values(), settings)
  const visited = new Set<string>()
  // A source may name origins without end; longer chains are not imported.
  for (let depth = 0; next.length > 0 && depth <= LONGEST_CHAIN; depth++) {
    const origins = new Set<string>()
    for (const { origin } of next) if (typeof origin === 'string' && !visited.has(origin)) origins.add(origin)
    for (const origin of origins) visited.add(origin)
    await askFor(origins)
    next = [...origins].flatMap(origin => images.get(origin) ?? [])
  }
  return { images, gone, unusable }
}

/** Normalizes a manifest. If this server would reject it, returns its scalar fields and the reason. */
function normalize(manifest: Manifest): { normalized: Manifest; problem?: string } {
  const { uuid } = manifest
  try {
    return { normalized: { ...readManifest(manifest), uuid } }
  } catch (error) {
    if (!(error instanceof ImgapiError)) throw error
    const plain = Object.entries(manifest).filter(([, value]) => typeof value !== 'object')
    return { normalized: { ...Object.fromEntries(plain), uuid }, problem: error.message }
  }
}

/** Returns all images of this server. */
export async function surveyLocal(images: Images): Promise<Local> {
  const runs = await images.manifests.list({ state: 'all', tags: [], billingTags: [], order: 'asc' })
  const view = { operatorFields: true, channels: false, adminFields: false }
  return new Map(
    imagesOf(runs).map(image => [
      image.uuid,
      { manifest: { ...toManifest(image, view), uuid: image.uuid }, isActivated: isActivated(image) },
    ]),
  )
}
