import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import PQueue from 'p-queue'
import { digestOf, type Plan, planFor } from '../client/publish/plan.ts'
import { publish as publishImage } from '../client/publish/publish.ts'
import { pairNames } from '../util/manifest-pairs.ts'
import { EXIT, OperatorError, UsageError } from '../util/operator-error.ts'
import { type Context, clientCommand } from './client-command.ts'
import { explain } from './explain.ts'

/** Images of a folder that are uploaded at the same time. */
const CONCURRENCY = 3

export const publish = clientCommand({
  meta: { name: 'publish', description: 'Import, upload and activate an image, or every image of a folder' },
  args: {
    folder: {
      type: 'positional',
      required: false,
      valueHint: 'FOLDER',
      description: 'folder with pairs of manifest and file, such as NAME.imgmanifest and NAME.zfs.gz',
      complete: 'file',
    },
    manifest: {
      type: 'string',
      alias: 'm',
      valueHint: 'FILE',
      description: 'the manifest',
      complete: 'file',
    },
    file: {
      type: 'string',
      alias: 'f',
      valueHint: 'FILE',
      description: 'the image file (default: the one beside the manifest)',
      complete: 'file',
    },
  },
  examples: [
    'imgapi publish -m my-image-1.0.0.imgmanifest -f my-image-1.0.0.zfs.gz',
    'imgapi publish -m my-image-1.0.0.imgmanifest',
    'imgapi publish ./images/',
  ],
  async run({ folder, manifest, file, json, verbose }, context) {
    if ((folder === undefined) === (manifest === undefined)) {
      throw new UsageError('name a manifest with -m FILE, or a folder')
    }
    if (folder !== undefined && file !== undefined) throw new UsageError('-f goes with -m, not with a folder')
    if (manifest !== undefined) {
      const result = await publishOne(context, await planFor(manifest, file))
      if (json) context.print(result)
      return
    }
    const results = await publishFolder(context, folder!, verbose)
    if (json) context.print(results)
    const failed = results.filter(({ error }) => error !== undefined)
    if (failed.length === 0) return
    const code = context.signal.aborted ? EXIT.interrupted : EXIT.failed
    const whole = `${failed.length} of ${results.length} not published`
    throw new OperatorError([...failed.map(({ error }) => error!), whole].join('\n'), code)
  },
})

interface Result {
  uuid?: string
  manifest: string
  outcome: string
  error?: string
}

/** Checks, uploads and activates one image. Throws OperatorError, ClientError and WrongFileError. */
async function publishOne(context: Context, { manifestPath, ...rest }: Plan): Promise<Result> {
  const { client, progress, signal, say } = context
  const { uuid, file, manifest, advice } = rest
  for (const line of advice) progress.note(line)
  const reading = progress.start(file.path, 'reading', file.size)
  let sending: ReturnType<typeof progress.start> | undefined
  try {
    const digested = await digestOf({ manifestPath, ...rest }, { onProgress: reading.update, signal })
    reading.finish('read')
    const outcome = await publishImage(client, { manifestPath, ...rest }, digested, {
      signal,
      onProgress: bytes => {
        sending ??= progress.start(file.path, 'sending', file.size)
        sending.update(bytes)
      },
    })
    sending?.finish('sent')
    say(`${spoken(outcome)}: ${uuid} (${manifest.name} ${manifest.version})`)
    return { uuid, manifest: manifestPath, outcome }
  } catch (error) {
    sending?.fail()
    if (!signal.aborted) throw error
    throw new OperatorError(`${manifestPath}: interrupted; publish again to complete it`, EXIT.interrupted)
  }
}

const spoken = (outcome: string) => (outcome === 'already there' ? 'already there and identical' : outcome)

/** Publishes the images of a folder, origins first; an image whose origin failed is skipped. */
async function publishFolder(context: Context, folder: string, verbose: boolean): Promise<Result[]> {
  const results: Result[] = []
  const fail = (manifest: string, error: unknown) => {
    const known = explain(error, { verbose, isInterrupted: context.signal.aborted })
    const message = known instanceof Error ? known.message : String(known)
    // Errors of the server contain its URL, not the manifest.
    const shown = message.includes(manifest) ? message : `${manifest}: ${message}`
    results.push({ manifest, outcome: 'failed', error: shown })
  }
  const plans = await plansOf(folder, fail)
  const queue = new PQueue({ concurrency: CONCURRENCY })
  const running = new Map<string, Promise<boolean>>()
  const start = (one: Plan, path: readonly string[] = []): Promise<boolean> => {
    const known = running.get(one.uuid)
    if (known) return known
    const below = [...path, one.uuid]
    const origin = plans.find(({ uuid }) => uuid === one.manifest.origin && !below.includes(uuid))
    const first = origin ? start(origin, below) : Promise.resolve(true)
    const done = first.then(async isPublished => {
      if (!isPublished) {
        fail(one.manifestPath, new OperatorError(`its origin ${one.manifest.origin} was not published`))
        return false
      }
      const attempt = async () => {
        context.signal.throwIfAborted()
        results.push(await publishOne(context, one))
        return true
      }
      const failed = (error: unknown) => {
        fail(one.manifestPath, error)
        return false
      }
      return (await queue.add(() => attempt().catch(failed))) === true
    })
    running.set(one.uuid, done)
    return done
  }
  await Promise.all(plans.map(one => start(one)))
  return results
}

/** Plans the images of a folder; reports those that cannot be published to `fail`. */
async function plansOf(folder: string, fail: (manifest: string, error: unknown) => void): Promise<Plan[]> {
  if (!statSync(folder).isDirectory())
    throw new UsageError(`${folder}: not a folder; name a manifest with -m`)
  const { pairs, unpairedManifests } = pairNames(readdirSync(folder))
  const plans: Plan[] = []
  for (const { manifest } of [...pairs, ...unpairedManifests.map(manifest => ({ manifest }))]) {
    const path = join(folder, manifest)
    await planFor(path)
      .then(found => {
        const twin = plans.find(({ uuid }) => uuid === found.uuid)
        if (twin) throw new OperatorError(`${path}: has the UUID of ${twin.manifestPath}`)
        plans.push(found)
      })
      .catch(error => fail(path, error))
  }
  if (pairs.length + unpairedManifests.length === 0) {
    throw new OperatorError(`${folder}: contains no manifest with a file beside it`, EXIT.notFound)
  }
  return plans
}
