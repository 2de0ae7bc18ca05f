import { createReadStream, statSync } from 'node:fs'
import { BundleError } from '../client/bundle/bundle-error.ts'
import { collect } from '../client/bundle/collect.ts'
import type { BundledFile } from '../client/bundle/contents.ts'
import { importBundle } from '../client/bundle/read.ts'
import { writeBundle } from '../client/bundle/write.ts'
import { EXIT, OperatorError, prefixed, UsageError } from '../util/operator-error.ts'
import { type Context, clientCommand } from './client-command.ts'
import type { Transfer } from './progress.ts'
import { readUuid } from './uuid-arg.ts'

/** Five retries with growing delays: half a minute in all. */
const RETRY = { retries: 5, firstDelay: 1000, longestDelay: 15_000 }

const ACTIONS = ['create', 'import'] as const

export const bundle = clientCommand({
  meta: {
    name: 'bundle',
    description: 'Write images and their origins to one file, or import such a file',
  },
  args: {
    action: {
      type: 'positional',
      valueHint: 'create|import',
      description: 'write a bundle, or import one',
      complete: ACTIONS,
    },
    file: {
      type: 'positional',
      valueHint: 'FILE',
      description: 'the bundle, a tar archive',
      complete: 'file',
    },
    uuid: {
      type: 'positional',
      rest: true,
      required: false,
      valueHint: 'UUID',
      description: 'with create: UUIDs of the images; their origins are included',
    },
  },
  examples: [
    'imgapi bundle create images.tar 6de01e97-d7ec-4906-bd8b-cb4eafdb7c8b -u https://images.smartos.org',
    'imgapi bundle create images.tar $(imgapi list -H -o uuid name=base)',
    'imgapi bundle import images.tar',
  ],
  async run({ action, file, uuid: given, json }, context) {
    const uuids = (given ?? []).map(uuid => readUuid(uuid))
    const hint = `run \`imgapi bundle ${action}\` again to resume`
    if (action === 'create') {
      if (uuids.length === 0) throw new UsageError('name the UUID of at least one image')
      await withFileName(context, file, hint, () => create(context, file, uuids, json))
    } else if (action === 'import') {
      if (uuids.length > 0) throw new UsageError(`unexpected argument: ${uuids[0]}`)
      await withFileName(context, file, hint, () => importFile(context, file, json))
    } else throw new UsageError(`${action}: expected create or import`)
  },
})

async function create(context: Context, path: string, uuids: string[], json: boolean) {
  const { client, progress, signal, say, print } = context
  const transfers = new Transfers(context)
  const images = await writeBundle(client, await collect(client, uuids), {
    path,
    retry: RETRY,
    signal,
    onProgress: (file, bytes) => transfers.update(file, bytes, 'fetching'),
    onDone: file => transfers.finish(file, 'fetched'),
    onRetry: error => progress.note(`${error.message}; retrying`),
  }).catch(transfers.failed)
  const { size } = statSync(path)
  if (json) {
    const contents = images.map(({ manifest, manifestName, files }) => ({
      uuid: manifest.uuid,
      name: manifest.name,
      version: manifest.version,
      manifest: manifestName,
      files: files.map(({ name }) => name),
    }))
    return print({ file: path, size, images: contents })
  }
  for (const { manifest } of images) say(`${manifest.uuid} (${manifest.name} ${manifest.version})`)
  say(`${path}: ${images.length} images, ${size} bytes`)
}

async function importFile(context: Context, path: string, json: boolean) {
  const { client, signal, say, print } = context
  const transfers = new Transfers(context)
  const results: { uuid: string; name: string; version: string; outcome: string }[] = []
  await importBundle(client, createReadStream(path, { highWaterMark: 1024 * 1024 }), {
    signal,
    onProgress: (file, bytes, isSent) => transfers.update(file, bytes, isSent ? 'sending' : 'verifying'),
    onDone: file => transfers.finish(file),
    onImage: ({ uuid, name, version }, outcome) => {
      results.push({ uuid, name, version, outcome })
      const spoken = outcome === 'already there' ? 'already there and identical' : outcome
      say(`${spoken}: ${uuid} (${name} ${version})`)
    },
  }).catch(transfers.failed)
  if (json) print({ file: path, images: results })
}

/** The progress of the files; a bar appears with the first bytes of its file. */
class Transfers {
  readonly #context: Context
  readonly #running = new Map<string, Transfer>()

  constructor(context: Context) {
    this.#context = context
  }

  update({ name, size }: BundledFile, bytes: number, verb: string) {
    let transfer = this.#running.get(name)
    if (!transfer) {
      transfer = this.#context.progress.start(name, verb, size, verb === 'fetching' ? bytes : 0)
      this.#running.set(name, transfer)
    }
    transfer.update(bytes)
  }

  finish({ name }: BundledFile, word?: string) {
    this.#running.get(name)?.finish(word)
    this.#running.delete(name)
  }

  /** Marks the running transfers as failed and throws the error. */
  readonly failed = (error: unknown): never => {
    for (const transfer of this.#running.values()) transfer.fail()
    throw error
  }
}

/** Adds the name of the bundle to errors, and a hint after an interrupt. Throws OperatorError. */
async function withFileName(context: Context, path: string, hint: string, run: () => Promise<unknown>) {
  try {
    await run()
  } catch (error) {
    if (context.signal.aborted) throw new OperatorError(`${path}: interrupted; ${hint}`, EXIT.interrupted)
    throw error instanceof BundleError ? prefixed(error, path) : error
  }
}
