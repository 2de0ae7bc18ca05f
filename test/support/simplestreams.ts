import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { run } from './run.ts'
import { sendContent, startSource, type TestSource } from './source.ts'

/**
 * An image server for LXD: a tree of files as simplestreams has it, with images that real programs have made. The
 * real client, `lxc` of Debian, takes images from it.
 */

const sha256 = (...parts: Uint8Array[]) => {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest('hex')
}

export interface LxdFile {
  /** Name in the folder of its version. */
  name: string
  ftype: string
  content: Buffer
}

/** What one image is made of. */
export interface LxdFiles {
  metadata: LxdFile
  squashfs: LxdFile
  rootTar: LxdFile
  combined: LxdFile
}

/** Seconds of the epoch. */
const CREATED = Date.UTC(2026, 0, 2) / 1000

/** `text`: the content of a file in the image, so that images differ. */
export async function makeLxdFiles(
  text: string,
  { architecture = 'x86_64', properties = {} as Record<string, string> } = {},
): Promise<LxdFiles> {
  const folder = mkdtempSync(join(tmpdir(), 'imgapi-test-'))
  try {
    return await makeFilesIn(folder, text, { architecture, creation_date: CREATED, properties })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function makeFilesIn(
  folder: string,
  text: string,
  metadata: Record<string, unknown>,
): Promise<LxdFiles> {
  mkdirSync(join(folder, 'rootfs/etc'), { recursive: true })
  writeFileSync(join(folder, 'rootfs/etc/motd'), text)
  // JSON is YAML.
  writeFileSync(
    join(folder, 'metadata.yaml'),
    `${JSON.stringify(metadata)}
# ${text.slice(0, 40)}
`,
  )
  const make = async (program: string, ...args: string[]) => {
    const made = await run(program, args, { cwd: folder })
    expect(made.code, made.stderr).toBe(0)
  }
  await make('tar', '-cJf', 'lxd.tar.xz', 'metadata.yaml')
  const quick = ['-noD', '-noF', '-noappend', '-quiet', '-no-progress', '-processors', '1']
  await make('mksquashfs', 'rootfs', 'rootfs.squashfs', ...quick)
  await make('tar', '-cJf', 'root.tar.xz', '-C', 'rootfs', '.')
  await make('tar', '-czf', 'lxd_combined.tar.gz', 'metadata.yaml', 'rootfs')
  const file = (name: string, ftype: string): LxdFile => ({
    name,
    ftype,
    content: readFileSync(join(folder, name)),
  })
  return {
    metadata: file('lxd.tar.xz', 'lxd.tar.xz'),
    squashfs: file('rootfs.squashfs', 'squashfs'),
    rootTar: file('root.tar.xz', 'root.tar.xz'),
    combined: file('lxd_combined.tar.gz', 'lxd_combined.tar.gz'),
  }
}

export const fingerprintOf = (...files: LxdFile[]) => sha256(...files.map(({ content }) => content))

type Items = Record<string, Record<string, unknown>>

export interface ProductOptions {
  /** Default: `images:DISTRIBUTION`, as the public servers name them. */
  fullname?: string
  aliases: string
  arch?: string
  versions: Record<string, readonly LxdFile[]>
  /** Of the product. */
  fields?: Record<string, unknown>
}

const METADATA = ['lxd.tar.xz', 'incus.tar.xz']

const COMBINED_KEYS: Record<string, string> = {
  squashfs: 'combined_squashfs_sha256',
  'root.tar.xz': 'combined_rootxz_sha256',
}

/** Path below which the tree is. */
const BASE = '/lxd'

export class SimpleStreamsTree {
  readonly #files = new Map<string, Buffer>()
  readonly products: Record<
    string,
    Record<string, unknown> & { versions: Record<string, { items: Items }> }
  > = {}
  index: Record<string, unknown> = {}
  /** Called with a path below the base; true: it has taken care of the answer. */
  intercept: (path: string, request: IncomingMessage, response: ServerResponse) => boolean = () => false
  #source: TestSource | undefined

  /** Adds an image; its files are listed with their sizes and digests, and are below `images/`. */
  add({
    aliases,
    arch = 'amd64',
    versions,
    fields,
    fullname = `${aliases.split(',')[0]!.replaceAll('/', ':')}:${arch}`,
  }: ProductOptions) {
    this.products[fullname] = {
      aliases,
      arch,
      os: 'Alpine',
      release: '3.20',
      release_title: '3.20',
      ...fields,
      versions: Object.fromEntries(
        Object.entries(versions).map(([version, files]) => [
          version,
          { items: this.#items(fullname, version, files) },
        ]),
      ),
    }
    return this
  }

  #items(fullname: string, version: string, files: readonly LxdFile[]): Items {
    const combined = (metadata: LxdFile) =>
      files.flatMap(root => {
        const key = COMBINED_KEYS[root.ftype]
        return key ? [[key, fingerprintOf(metadata, root)]] : []
      })
    return Object.fromEntries(
      files.map(file => {
        const path = `images/${fullname.replaceAll(':', '/')}/${version}/${file.name}`
        this.#files.set(path, file.content)
        const { ftype, content } = file
        const own = { ftype, path, size: content.length, sha256: sha256(content) }
        return [file.name, METADATA.includes(ftype) ? { ...own, ...Object.fromEntries(combined(file)) } : own]
      }),
    )
  }

  async serve(tls?: { cert: string; key: string }): Promise<string> {
    this.#source = await startSource((request, response) => this.#answer(request, response), tls)
    return `${this.#source.url}${BASE}`
  }

  get requests() {
    return this.#source?.requests ?? []
  }

  #answer(request: IncomingMessage, response: ServerResponse) {
    const url = request.url ?? ''
    const path = decodeURIComponent(url.startsWith(`${BASE}/`) ? url.slice(BASE.length + 1) : '')
    if (this.intercept(path, request, response)) return
    const content = this.#list(path) ?? this.#files.get(path)
    if (content) sendContent(content, request, response)
    else response.writeHead(404).end('not found')
  }

  #list(path: string): Buffer | undefined {
    const updated = 'Tue, 24 Nov 2026 00:00:00 +0000'
    const list = {
      'streams/v1/index.json': {
        format: 'index:1.0',
        updated,
        index: {
          images: {
            datatype: 'image-downloads',
            format: 'products:1.0',
            path: 'streams/v1/images.json',
            products: Object.keys(this.products),
            updated,
          },
          ...this.index,
        },
      },
      'streams/v1/images.json': {
        content_id: 'images',
        datatype: 'image-downloads',
        format: 'products:1.0',
        products: this.products,
        updated,
      },
    }[path]
    return list && Buffer.from(JSON.stringify(list))
  }
}
