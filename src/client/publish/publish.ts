import type { ImgapiClient } from '../client.ts'
import { ClientError } from '../client-error.ts'
import { type LocalFile, sendFile } from '../send-file.ts'
import type { RemoteImage } from '../types.ts'
import { type Plan, PublishError } from './plan.ts'
import { differences } from './same-image.ts'

/**
 * Publishes an image: import, upload, activate. Idempotent: completed steps are skipped, and an image that an
 * interrupted attempt left is completed. If a step fails, the image that this attempt created is deleted.
 */

/** What publish did: created the image, completed an unfinished one, or found it complete. */
export type PublishOutcome = 'published' | 'completed' | 'already there'

export interface PublishHooks {
  signal: AbortSignal
  onProgress?(bytes: number): void
}

/** Publishes the image of a plan. Throws PublishError, ClientError and WrongFileError. */
export async function publish(
  client: ImgapiClient,
  plan: Plan,
  file: LocalFile,
  hooks: PublishHooks,
): Promise<PublishOutcome> {
  const { uuid } = plan
  const before = await client.findImage(uuid)
  if (before) return complete(client, plan, file, before, hooks)
  await client.importImage(uuid, plan.manifest)
  try {
    await sendFile(client, uuid, file, hooks)
    await client.act(uuid, 'activate')
    return 'published'
  } catch (error) {
    // After an interrupt the image stays, to be completed later; the signal has aborted the client anyway.
    if (!hooks.signal.aborted) await undo(client, uuid, error)
    throw error
  }
}

/** Completes an image that the server has. Throws PublishError if it is another image. */
async function complete(
  client: ImgapiClient,
  plan: Plan,
  file: LocalFile,
  remote: RemoteImage,
  hooks: PublishHooks,
): Promise<PublishOutcome> {
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
      `image ${uuid} exists and differs in ${different.join(', ')}: \`imgapi get ${uuid}\` shows it; ${then}`,
    )
  }
  if (!isWaiting) {
    if (hasFile) return 'already there'
    throw new PublishError(`image ${uuid} exists with another file: publish under another UUID`)
  }
  if (!hasFile || stored.compression !== file.compression) await sendFile(client, uuid, file, hooks)
  await client.act(uuid, 'activate')
  return 'completed'
}

/** Deletes the image that this attempt created. Throws PublishError, with the original error, if that fails too. */
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
