import type { ImgapiClient } from '../client/client.ts'
import { ClientError } from '../client/client-error.ts'
import { parseServerUrl } from '../client/target.ts'
import type { RemoteImage } from '../client/types.ts'
import { UUID } from '../images/fields.ts'
import { EXIT, OperatorError, UsageError } from '../util/operator-error.ts'
import { type Context, clientCommand } from './client-command.ts'
import { latestOf } from './columns.ts'
import { followJob } from './follow-job.ts'

export const importCommand = clientCommand({
  meta: { name: 'import', description: 'Have the server fetch an image and its origins from another server' },
  args: {
    image: {
      type: 'positional',
      valueHint: 'UUID|NAME[@VERSION]',
      description: 'the image on the other server',
    },
    from: {
      type: 'string',
      valueHint: 'URL',
      description: 'the other server, with credentials or ?channel= if it needs them',
    },
    latest: { type: 'boolean', description: 'if several images match, import the one published last' },
  },
  examples: [
    'imgapi import 6de01e97-d7ec-4906-bd8b-cb4eafdb7c8b --from https://images.smartos.org',
    'imgapi import base-64-lts@24.4.1 --from https://images.smartos.org',
    'imgapi import base-64-lts --latest --from https://images.smartos.org',
  ],
  async run({ image, from, latest, json }, context) {
    if (from === undefined) throw new UsageError('name the server to import from with --from URL')
    const { client, say, print, signal } = context
    const source = withScheme(from)
    const uuid = UUID.test(image.toLowerCase())
      ? image.toLowerCase()
      : (await findByName(context, image, source, latest)).uuid
    const jobUuid = await startJob(client, uuid, source)
    if (jobUuid === undefined) {
      if (json) return print(await client.getImage(uuid))
      return say(`already there: ${uuid}`)
    }
    const job = await followJob(jobUuid, context).catch(error => {
      if (!signal.aborted) throw error
      const message = `interrupted; the server continues: imgapi jobs show ${jobUuid} --wait`
      throw new OperatorError(message, EXIT.interrupted)
    })
    if (json) print(job)
    if (job.state === 'succeeded') {
      return say(`imported ${job.images.map(step => step.uuid).join(', ') || uuid}`)
    }
    const reason = job.error && job.error.message !== job.state ? `: ${job.error.message}` : ''
    throw new OperatorError(`the import of ${uuid} ${job.state}${reason}; import it again to resume`)
  },
})

/** Completes a host name to a URL, which import-remote requires. Throws TargetError. */
function withScheme(given: string): string {
  parseServerUrl(given, '--from')
  return /^https?:\/\//i.test(given) ? given : `http://${given}`
}

/** Finds the image by name on the source. Throws OperatorError unless exactly one matches. */
async function findByName(
  { connect }: Context,
  image: string,
  source: string,
  latest: boolean,
): Promise<RemoteImage> {
  const at = image.lastIndexOf('@')
  const [name, version] = at > 0 ? [image.slice(0, at), image.slice(at + 1)] : [image, undefined]
  const { url, channel, user, password } = parseServerUrl(source, '--from')
  const credentials =
    user === undefined ? undefined : { type: 'basic' as const, user, password: password ?? '' }
  const other = connect({ url, channel, credentials, insecure: false })
  const found = await other.listImages({ name, version, state: 'active' })
  const candidates = latest ? [...latestOf(found)].sort(byDate).slice(-1) : found
  const where = `${url.href} has`
  if (candidates.length === 0) throw new OperatorError(`${where} no active image ${image}`, EXIT.notFound)
  if (candidates.length === 1) return candidates[0]!
  const versions = [...found].sort(byDate).map(one => `${one.version} (${one.uuid})`)
  throw new OperatorError(
    `${where} ${found.length} images ${image}: ${versions.slice(-5).join(', ')}; name the version, the UUID, or --latest`,
  )
}

const byDate = (a: RemoteImage, b: RemoteImage) => ((a.published_at ?? '') < (b.published_at ?? '') ? -1 : 1)

/** Starts the job. Resolves to undefined if the image exists already. Throws ClientError and OperatorError. */
async function startJob(client: ImgapiClient, uuid: string, source: string): Promise<string | undefined> {
  try {
    return (await client.importRemote(uuid, source)).job_uuid
  } catch (error) {
    if (!(error instanceof ClientError) || error.code !== 'ImageUuidAlreadyExists') throw error
    const existing = await client.findImage(uuid)
    if (existing?.state === 'active') return undefined
    if (existing?.state === 'disabled')
      throw new OperatorError(`${uuid} exists but is disabled: imgapi enable ${uuid}`)
    throw new OperatorError(
      `${uuid} exists but was never completed: imgapi delete ${uuid}, then import it again`,
    )
  }
}
