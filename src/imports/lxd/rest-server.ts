import { z } from 'zod'
import { type HttpClient, SourceError } from '../../sources/http-client.ts'
import { exportedFiles } from './image-export.ts'
import {
  type FoundImage,
  getJson,
  type ImageDescription,
  type ImageServer,
  imageNotFound,
  withSlash,
} from './image-server.ts'
import { ARCHITECTURES } from './products.ts'

const Alias = z.object({ metadata: z.object({ target: z.string().regex(/^[0-9a-f]{64}$/) }) })

const Image = z.object({
  metadata: z.object({
    fingerprint: z.string().regex(/^[0-9a-f]{64}$/),
    size: z.int().positive(),
    architecture: z.string(),
    aliases: z.array(z.object({ name: z.string() })).nullish(),
    properties: z.record(z.string(), z.string()).nullish(),
    created_at: z.string().refine(date => !Number.isNaN(Date.parse(date))),
  }),
})

type ImageMetadata = z.infer<typeof Image>['metadata']

/** Debian's names of architectures, which simplestreams uses, by the kernel's, which LXD uses. */
const DEBIAN_NAMES: Readonly<Record<string, string>> = {
  x86_64: 'amd64',
  i686: 'i386',
  armv7l: 'armhf',
  aarch64: 'arm64',
  ppc64le: 'ppc64el',
}

/** A server of LXD or Incus. Without a secret it offers its public images only. */
export class RestServer implements ImageServer {
  readonly #client: HttpClient
  readonly #url: URL
  readonly #secret: string | undefined

  constructor(client: HttpClient, url: URL, secret: string | undefined) {
    this.#client = client
    this.#url = withSlash(url)
    this.#secret = secret
  }

  /**
   * Finds an image. `wanted`: an alias of an image for the architecture of SmartOS hosts, an alias with `/` and an architecture, or
   * the beginning of a fingerprint, of twelve digits at least.
   */
  async find(wanted: string, signal: AbortSignal): Promise<FoundImage> {
    const image = await this.#image(wanted, signal)
    if (!image) return imageNotFound(wanted, this.#url)
    const { fingerprint, size } = image
    const exported = { client: this.#client, url: this.#imageUrl(fingerprint, '/export'), size }
    return {
      ...describe(image, wanted),
      // The sizes of the single files are not known in advance, only their sum.
      listed: [],
      files: transfer => exportedFiles(exported, transfer),
    }
  }

  async #image(wanted: string, signal: AbortSignal): Promise<ImageMetadata | undefined> {
    const own = await this.#byAlias(wanted, signal)
    if (own) {
      if (ARCHITECTURES.includes(own.architecture) || isFor(own, wanted)) return own
      throw new Error(`image ${wanted} is for ${own.architecture}: ask for ${wanted}/${own.architecture}`)
    }
    const slash = wanted.lastIndexOf('/')
    const other = slash > 0 ? await this.#byAlias(wanted.slice(0, slash), signal) : undefined
    if (other && isFor(other, wanted)) return other
    return FINGERPRINT.test(wanted) ? this.#byFingerprint(wanted, signal) : undefined
  }

  async #byAlias(alias: string, signal: AbortSignal): Promise<ImageMetadata | undefined> {
    const url = new URL(`1.0/images/aliases/${encodeURIComponent(alias)}`, this.#url)
    const found = await this.#get(url, Alias, signal)
    return found && this.#byFingerprint(found.metadata.target, signal)
  }

  async #byFingerprint(fingerprint: string, signal: AbortSignal): Promise<ImageMetadata | undefined> {
    const found = await this.#get(this.#imageUrl(fingerprint), Image, signal)
    if (!found || found.metadata.fingerprint.startsWith(fingerprint)) return found?.metadata
    throw new SourceError(`${this.#url.host} answers with another image than ${fingerprint}`)
  }

  #imageUrl(fingerprint: string, more = ''): URL {
    const url = new URL(`1.0/images/${fingerprint}${more}`, this.#url)
    if (this.#secret !== undefined) url.searchParams.set('secret', this.#secret)
    return url
  }

  async #get<T>(url: URL, schema: z.ZodType<T>, signal: AbortSignal): Promise<T | undefined> {
    try {
      return await getJson(this.#client, url, { schema, protocol: 'LXD', signal })
    } catch (error) {
      if (error instanceof SourceError && error.status === 404) return undefined
      throw error
    }
  }
}

/** Shortens a fingerprint as LXD displays it. */
const FINGERPRINT = /^[0-9a-f]{12,64}$/

const isFor = ({ architecture }: ImageMetadata, wanted: string) =>
  [architecture, DEBIAN_NAMES[architecture]].some(name => wanted.endsWith(`/${name}`))

/** Describes an image. Its properties are free text; these are the ones that image builders set. */
function describe(image: ImageMetadata, wanted: string): ImageDescription {
  const { fingerprint, architecture } = image
  const { description, name, os, release, serial, architecture: arch } = image.properties ?? {}
  const aliases = (image.aliases ?? []).map(alias => alias.name)
  const created = new Date(image.created_at).toISOString()
  return {
    fullname: description || wanted,
    pubname: name || aliases[0] || wanted,
    version: serial || created.replace(/^(\d+)-(\d+)-(\d+)T(\d+:\d+).*$/, '$1$2$3_$4'),
    fingerprint,
    arch: arch || (DEBIAN_NAMES[architecture] ?? architecture),
    aliases: aliases.join(','),
    os,
    release,
    release_title: release,
  }
}
