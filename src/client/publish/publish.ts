import type { ImgapiClient } from '../client.ts'
import { ClientError } from '../client-error.ts'
import { type LocalFile, sendFile } from '../send-file.ts'
import type { RemoteImage } from '../types.ts'
import { type Plan, PublishError } from './plan.ts'
import { differences } from './same-image.ts'

/**
 * Import, upload, activate. It can be asked for again at any time: what is done is not done again, what an
 * attempt that was killed left behind is completed. A step that fails takes back what this attempt began.
 */

export type Outcome = 'published' | 'completed' | 'already there'

export interface PublishHooks {
  signal: AbortSignal
  onProgress?(bytes: number): void
}

export async function publish(
  client: ImgapiClient,
  plan: Plan,
  file: LocalFile,
  hooks: PublishHooks,
): Promise<Outcome> {
  const { uuid } = plan
  const before = await client.findImage(uuid)
  if (before) return complete(client, plan, file, before, hooks)
  await client.importImage(uuid, plan.manifest)
  try {
    await sendFile(client, uuid, file, hooks)
    await client.act(uuid, 'activate')
    return 'published'
  } catch (error) {
    // Who interrupts will go on later. The signal has ended the client's requests, too.
    if (!hooks.signal.aborted) await undo(client, uuid, error)
    throw error
  }
}

/** What is there is this image, or an error. */
async function complete(
  client: ImgapiClient,
  plan: Plan,
  file: LocalFile,
  remote: RemoteImage,
  hooks: PublishHooks,
): Promise<Outcome> {
  const { uuid } = plan
  const stored = remote.files?.[0]
  const hasFile = stored?.sha1 === file.sha1 && Number(stored.size) === file.size
  const different = differences(plan.manifest, remote)
  const isWaiting = remote.state === 'unactivated'
  if (different.length > 0) {
    const then = isWaiting
      ? `imgapi delete ${uuid}, then publish again`
      : `imgapi update ${uuid}, or publish under another UUID`
    throw new PublishError(
      `image ${uuid} is there and differs in ${different.join(', ')}: \`imgapi get ${uuid}\` shows it; ${then}`,
    )
  }
  if (!isWaiting) {
    if (hasFile) return 'already there'
    throw new PublishError(`image ${uuid} is there with another file: publish under another UUID`)
  }
  if (!hasFile || stored.compression !== file.compression) await sendFile(client, uuid, file, hooks)
  await client.act(uuid, 'activate')
  return 'completed'
}

async function undo(client: ImgapiClient, uuid: string, error: unknown) {
  try {
    await client.deleteImage(uuid)
  } catch (problem) {
    if (problem instanceof ClientError && problem.isNotFound) return
    const reason = (error as Error).message
    throw new PublishError(
      `${reason}; the unfinished image ${uuid} is still on the server: publish again to complete it, or imgapi delete ${uuid}`,
    )
  }
}
