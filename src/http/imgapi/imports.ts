import { z } from 'zod'
import { alreadyExists } from '../../images/already-exists.ts'
import { importImage } from '../../images/create.ts'
import { invalidData, invalidParameter, notFound, notImplemented, unauthorized } from '../../images/errors.ts'
import { UUID } from '../../images/fields.ts'
import { correctMinPlatform } from '../../images/old-imgadm.ts'
import { isObject } from '../../images/rules.ts'
import { visibleImage } from '../../images/visibility.ts'
import type { Job } from '../../imports/jobs/job.ts'
import { getManifest, missingManifests } from '../../imports/jobs/missing.ts'
import { SourceError } from '../../sources/http-client.ts'
import type { Manifest } from '../../sources/imgapi/reader.ts'
import { ImgapiSource } from '../../sources/imgapi/source.ts'
import { readSourceUrl } from '../../sources/source-url.ts'
import type { ApiRequest } from '../api-request.ts'
import { sourceError } from '../message-stream.ts'
import { operation } from '../operation.ts'
import { flag, needed, text } from '../parameters.ts'
import type { Service } from '../service.ts'
import { A_JOB, AN_IMAGE, ImportedManifestSchema } from './schemas.ts'

/** The operations that import images from other servers (reference contract, section 10). */

const failed = (field: string, message: string, code: 'Invalid' | 'MissingParameter' = 'Invalid') =>
  invalidData(message, [{ field, code }])

/** Actions on an image that does not exist yet. */
const shared = { method: 'POST', path: '/images/:uuid', image: 'new' } as const

const skip_owner_check = flag(
  'accepted for clients of the reference, and ignored: this server has no account database',
)
const source = needed('the URL of the other server')

export const importImageOperation = operation({
  ...shared,
  name: 'AdminImportImage',
  when: { action: 'import' },
  access: 'operator',
  summary: 'Creates an image from a manifest with its UUID; its file is uploaded next.',
  parameters: { skip_owner_check, source: text('a URL selects another operation') },
  body: ImportedManifestSchema,
  answers: AN_IMAGE,
  async handle({ request, service, body, viewer }) {
    const { images } = service
    const agent = request.header('user-agent')
    const manifest = isObject(body) ? await correctMinPlatform(images, body, agent) : body
    return importImage(images, request.uuid(), manifest, viewer)
  },
})

export const importImageFromSource = operation({
  ...shared,
  name: 'AdminImportImageFromSource',
  when: { action: 'import', source: true },
  access: 'operator',
  summary: 'Creates an image from the manifest that another server has; its file is fetched next.',
  parameters: { skip_owner_check, source },
  body: z.unknown(),
  answers: AN_IMAGE,
  async handle({ request, service, viewer, parameters }) {
    const { images, client } = service
    const uuid = request.uuid()
    const url = await readSourceUrl(client, 'source', parameters.source)
    const manifest = await getManifest(new ImgapiSource(client, url), uuid)
    return importImage(images, uuid, manifest, viewer)
  },
})

export const importRemoteImage = operation({
  ...shared,
  name: 'AdminImportRemoteImage',
  when: { action: 'import-remote' },
  access: 'operator',
  summary: 'Starts a job that imports an image, and the origins that are missing, from another server.',
  parameters: { source, skip_owner_check },
  body: z.unknown(),
  answers: A_JOB,
  async handle({ request, service, viewer, parameters }) {
    const { images, client, jobs } = service
    const uuid = request.uuid()
    if (parameters.source === undefined) {
      throw failed('source', 'missing source parameter', 'MissingParameter')
    }
    const live = jobs.findLive(uuid)
    if (live) return jobAnswer(request, live)
    const url = await readSourceUrl(client, 'source', parameters.source)
    const existing = await images.manifests.find(uuid)
    if (existing) throw alreadyExists(uuid, existing.image)
    const other = new ImgapiSource(client, url)
    const manifests = await missingManifests(images, missing => getManifest(other, missing), uuid)
    const { channel } = viewer
    const job = await jobs.submit(
      { task: 'import-remote-image', image_uuid: uuid, source: url, channel },
      manifests,
    )
    return jobAnswer(request, job)
  },
})

export const importImageFromDatacenter = operation({
  ...shared,
  name: 'ImportImageFromDatacenter',
  when: { action: 'import-from-datacenter' },
  access: 'change',
  summary: 'Starts a job that imports an image of the account from a datacenter of the config.',
  parameters: { datacenter: needed('the name of the datacenter') },
  body: z.unknown(),
  answers: A_JOB,
  async handle({ request, service, viewer, body, parameters }) {
    const { images, datacenters, jobs } = service
    const uuid = request.uuid()
    // Newer clients send the parameters in the body.
    const given = { ...(typeof body === 'object' ? (body as Record<string, unknown>) : {}) }
    const account = viewer.account ?? given.account
    if (typeof account !== 'string' || !UUID.test(account)) {
      throw failed('account', `invalid image "account" (not a UUID): ${account}`)
    }
    const url = datacenterUrl(service, parameters.datacenter ?? given.datacenter)
    const live = jobs.findLive(uuid)
    if (live) return jobAnswer(request, live)
    const source = new ImgapiSource(datacenters.client, url)
    const manifest = await getOwn(source, uuid, account)
    if (manifest.state !== 'active') {
      throw failed('state', `Cannot import image ${uuid} - image is not active.`)
    }
    if (manifest.owner !== account) {
      throw unauthorized(`Cannot import image ${uuid} - you are not the owner.`)
    }
    if (await images.manifests.find(uuid)) {
      // The error must not reveal an image that the account may not see.
      const seen = await visibleImage(images, uuid, { ...viewer, account }).catch(() => undefined)
      throw alreadyExists(uuid, seen?.image)
    }
    await checkOrigins(service, source, manifest, account)
    const { channel } = viewer
    const job = await jobs.submit({ task: 'import-dc-image', image_uuid: uuid, source: url, channel })
    return jobAnswer(request, job)
  },
})

function datacenterUrl({ datacenters: { own, urls } }: Service, name: unknown): URL {
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
  source.getImage(uuid, { account }).catch(error => {
    if (!(error instanceof SourceError)) throw error
    throw sourceError(error)
  })

/** Throws ResourceNotFound for an origin that neither exists here nor belongs to the account. */
async function checkOrigins({ images }: Service, source: ImgapiSource, top: Manifest, account: string) {
  const foreign = (uuid: string) => {
    const message = `Unable to import - origin image ${uuid} must already exist in the datacenter (as this image is not owned by you).`
    return notFound(message)
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

/** Answers with the job. The operator CLI polls `<workflow-api>/jobs/<uuid>`, which this server answers. */
function jobAnswer(request: ApiRequest, job: Job): Response {
  return request.json(
    { image_uuid: job.image_uuid, job_uuid: job.uuid },
    { headers: { 'workflow-api': request.baseUrl() } },
  )
}

/** Changes nothing, because there is one store only. */
export const changeImageStor = operation({
  name: 'AdminChangeImageStor',
  method: 'POST',
  path: '/images/:uuid',
  when: { action: 'change-stor' },
  access: 'operator',
  image: 'visible',
  summary: 'Accepts stor=local, where every file is already.',
  parameters: { stor: needed('local') },
  body: z.unknown(),
  answers: AN_IMAGE,
  async handle({ request, service, image, body, parameters }) {
    const { channels } = service.images.policy
    const fromBody = isObject(body) ? body.stor : undefined
    const stor = request.query.has('stor') ? parameters.stor : fromBody
    if (stor === undefined) throw failed('stor', 'missing "stor" query parameter', 'MissingParameter')
    if (stor !== 'local') throw failed('stor', `unknown storage type "${stor}"`)
    if (image.files.length === 0) throw invalidParameter('stor', `image "${image.uuid}" has no file`)
    if (image.files.length > 1) {
      throw notImplemented('cannot change stor for images with multiple files')
    }
    if (image.icon) throw notImplemented('cannot change stor for images with an icon')
    const fields = { ...request.visibleFields(), adminFields: true, channels: channels.length > 0 }
    return request.rawJson(request.rendered(image, fields).body)
  },
})
