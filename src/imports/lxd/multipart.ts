import { on } from 'node:events'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Busboy } from '@fastify/busboy'
import { SourceError } from '../../sources/http-client.ts'

/** Reads a body of type multipart/form-data as a stream of files, without buffering them. */

export interface Part {
  name: string
  filename: string | undefined
  body: Readable
}

export interface PartStream {
  /** Resolves with the next file, once the previous one has been read; with undefined after the last. */
  next(): Promise<Part | undefined>
  /** Ends the transfer. */
  close(): void
}

/** Small, since the headers of a part have only a few names and one file name. */
const LIMITS = { fields: 0, headerPairs: 20, headerSize: 8 * 1024 }

/**
 * Reads the files of a body in order, `mostFiles` at most. Errors of `next` and of the bodies are SourceErrors; they are
 * temporary if the body broke off.
 */
export function partsOf(body: Readable, contentType: string, mostFiles: number): PartStream {
  const parser = createParser(contentType, mostFiles)
  const arrived = on(parser, 'file', { close: ['finish'] })
  let current: Readable | undefined
  parser.on('file', (_, file: Readable) => {
    current = file
    // The parser only emits the error. Destroy the stream, so that a later reader finds it too.
    file.on('error', error => file.destroy(error))
    file.once('close', () => {
      if (!file.readableEnded) body.destroy()
    })
  })
  pipeline(body, parser).catch(error => current?.destroy(error))
  return {
    async next() {
      const { value, done } = await arrived.next().catch(error => {
        throw new SourceError((error as Error).message, { isTemporary: true }, error)
      })
      if (done) return undefined
      const [name, file, filename] = value as [string, Readable, string | undefined]
      return { name, filename, body: file }
    },
    close() {
      body.destroy()
    },
  }
}

/** Throws SourceError. */
function createParser(contentType: string, files: number) {
  try {
    return new Busboy({
      headers: { 'content-type': contentType },
      isPartAFile: () => true,
      limits: { ...LIMITS, files },
    })
  } catch (error) {
    throw new SourceError((error as Error).message, {}, error)
  }
}
