import { alreadyExists } from '../../images/already-exists.ts'
import { importImage } from '../../images/create.ts'
import { ImgapiError, invalidParameter } from '../../images/errors.ts'
import { UUID } from '../../images/fields.ts'
import type { Image } from '../../images/image.ts'
import { findImage } from '../../images/images.ts'
import { requireOperator, type Viewer, visibleImage } from '../../images/visibility.ts'
import type { Job } from '../../jobs/job.ts'
import { getManifest, missingManifests } from '../../jobs/missing.ts'
import { SourceError } from '../../sources/http-client.ts'
import { ImgapiSource, type Manifest } from '../../sources/imgapi-source.ts'
import { readSourceUrl } from '../../sources/source-url.ts'
import type { ApiRequest } from '../api-request.ts'
import type { Service } from '../service.ts'

/** The imports of section 10 of the reference contract, by which this server gets images from others. */

const failed = (field: string, message: string, code: 'Invalid' | 'MissingParameter' = 'Invalid') =>
  new ImgapiError('ValidationFailed', message, { errors: [{ field, code }] })

/** `action=import&source=`: the manifest alone; its file is asked for next. */
export async function importFromSource(request: ApiRequest, uuid: string, viewer: Viewer): Promise<Image> {
  const { images, client } = request.service
  requireOperator(viewer)
  request.query.flag('skip_owner_check')
  const url = await readSourceUrl(client, 'source', request.query.nonEmpty('source'))
  const manifest = await getManifest(new ImgapiSource(client, url), uuid)
  return importImage(images, uuid, manifest, viewer)
}

/** `action=import-remote&source=`: a job that brings the image and the origins that are missing. */
export async function importRemote(request: ApiRequest, uuid: string, viewer: Viewer): Promise<Response> {
  const { images, client, jobs } = request.service
  const given = request.query.nonEmpty('source')
  if (given === undefined) throw failed('source', 'missing source parameter', 'MissingParameter')
  requireOperator(viewer)
  request.query.flag('skip_owner_check')
  const live = jobs.findLive(uuid)
  if (live) return jobAnswer(request, live)
  const url = await readSourceUrl(client, 'source', given)
  const taken = await images.manifests.find(uuid)
  if (taken) throw alreadyExists(uuid, taken.image)
  const source = new ImgapiSource(client, url)
  await missingManifests(images, missing => getManifest(source, missing), uuid)
  const { channel } = viewer
  const job = await jobs.submit({ task: 'import-remote-image', image_uuid: uuid, source: url, channel })
  return jobAnswer(request, job)
}

/** `action=import-from-datacenter`: the same from a datacenter of the config, for the image's owner alone. */
export async function importFromDatacenter(
  request: ApiRequest,
  uuid: string,
  viewer: Viewer,
  body: unknown,
): Promise<Response> {
  const { images, datacenters, jobs } = request.service
  // A newer client sends these in the body.
  const parameters = { ...(typeof body === 'object' ? (body as Record<string, unknown>) : {}) }
  const account = viewer.account ?? parameters.account
  if (typeof account !== 'string' || !UUID.test(account)) {
    throw failed('account', `invalid image "account" (not a UUID): ${account}`)
  }
  const url = datacenterUrl(request, request.query.nonEmpty('datacenter') ?? parameters.datacenter)
  const live = jobs.findLive(uuid)
  if (live) return jobAnswer(request, live)
  const source = new ImgapiSource(datacenters.client, url)
  const manifest = await getOwn(source, uuid, account)
  if (manifest.state !== 'active') {
    throw failed('state', `Cannot import image ${uuid} - image is not active.`)
  }
  if (manifest.owner !== account) {
    throw new ImgapiError('UnauthorizedError', `Cannot import image ${uuid} - you are not the owner.`)
  }
  if (await images.manifests.find(uuid)) {
    // An account hears no more of an image than it can see.
    const seen = await visibleImage(images, uuid, { ...viewer, account }).catch(() => undefined)
    throw alreadyExists(uuid, seen?.image)
  }
  await checkOrigins(request.service, source, manifest, account)
  const { channel } = viewer
  const job = await jobs.submit({ task: 'import-dc-image', image_uuid: uuid, source: url, channel })
  return jobAnswer(request, job)
}

function datacenterUrl(request: ApiRequest, name: unknown): URL {
  const { own, urls } = request.service.datacenters
  const others = Object.keys(urls).filter(other => other !== own)
  if (typeof name !== 'string' || name === '') {
    throw failed('datacenter', 'missing datacenter parameter', 'MissingParameter')
  }
  const valid = `valid datacenters names are: ${others.join(', ')}`
  if (name === own) throw failed('datacenter', `cannot import into the same datacenter, ${valid}`)
  if (!others.includes(name)) throw failed('datacenter', `datacenter "${name}" is not supported, ${valid}`)
  return new URL(urls[name]!)
}

/** A manifest as the account sees it there. */
const getOwn = (source: ImgapiSource, uuid: string, account: string) =>
  source.getManifest(uuid, { account }).catch(error => {
    if (!(error instanceof SourceError)) throw error
    const code = error.status === 404 ? 'ResourceNotFound' : 'RemoteSourceError'
    throw new ImgapiError(code, error.message, { cause: error })
  })

/** Every origin is the account's own too, or here already. */
async function checkOrigins({ images }: Service, source: ImgapiSource, top: Manifest, account: string) {
  const foreign = (uuid: string) => {
    const message = `Unable to import - origin image ${uuid} must already exist in the datacenter (as this image is not owned by you).`
    return new ImgapiError('ResourceNotFound', message)
  }
  const get = async (uuid: string): Promise<Manifest> => {
    if (uuid === top.uuid) return top
    const manifest = await getOwn(source, uuid, account).catch(error => {
      throw error.code === 'ResourceNotFound' ? foreign(uuid) : error
    })
    if (manifest.owner !== account) throw foreign(uuid)
    return manifest
  }
  await missingManifests(images, get, top.uuid)
}

/** The operator CLI polls `<workflow-api>/jobs/<uuid>`, which is us. */
function jobAnswer(request: ApiRequest, job: Job): Response {
  return request.json(
    { image_uuid: job.image_uuid, job_uuid: job.uuid },
    { headers: { 'workflow-api': request.baseUrl() } },
  )
}

/** What only a Triton datacenter has. Throws NotAvailable. */
export function refuseTritonOnly(what: string): never {
  const message = `${what} is not currently available: it needs a Triton datacenter, and this is a standalone image server`
  throw new ImgapiError('NotAvailable', message)
}

/** `action=change-stor`: there is one store, so everything is where it should be already. */
export async function changeStor(
  request: ApiRequest,
  uuid: string,
  viewer: Viewer,
  body: unknown,
): Promise<Response> {
  const { images } = request.service
  requireOperator(viewer)
  const fromBody = typeof body === 'object' && body !== null ? (body as { stor?: unknown }).stor : undefined
  const { query } = request
  const stor = query.has('stor') ? query.nonEmpty('stor') : fromBody
  if (stor === undefined) throw failed('stor', 'missing "stor" query parameter', 'MissingParameter')
  if (stor !== 'local') throw failed('stor', `unknown storage type "${stor}"`)
  const { image } = await findImage(images, uuid)
  if (image.files.length === 0) throw invalidParameter('stor', `image "${uuid}" has no file`)
  if (image.files.length > 1) {
    throw new ImgapiError('NotImplemented', 'cannot change stor for images with multiple files')
  }
  if (image.icon) throw new ImgapiError('NotImplemented', 'cannot change stor for images with an icon')
  const view = { ...request.view(), adminFields: true, channels: images.policy.channels.length > 0 }
  return request.text(request.rendered(image, view).body)
}
