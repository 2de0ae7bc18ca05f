import { Readable } from 'node:stream'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { partsOf } from '../../../src/imports/lxd/multipart.ts'
import { SourceError } from '../../../src/sources/http-client.ts'

/** Forms that servers of LXD send; the real ones are in acceptance/lxd-servers.test.ts. */

const BOUNDARY = 'b0b1'
const TYPE = `multipart/form-data; boundary=${BOUNDARY}`

function formOf(files: readonly Uint8Array[]): Buffer {
  const parts = files.map((content, index) =>
    Buffer.concat([
      Buffer.from(
        `--${BOUNDARY}\r\nContent-Disposition: form-data; name="part${index}"; filename="${index}.tar.xz"\r\n`,
      ),
      Buffer.from('Content-Type: application/octet-stream\r\n\r\n'),
      content,
      Buffer.from('\r\n'),
    ]),
  )
  return Buffer.concat([...parts, Buffer.from(`--${BOUNDARY}--\r\n`)])
}

/** Pieces of that many bytes, again and again. */
function* cut(bytes: Buffer, sizes: readonly number[]) {
  for (let at = 0, index = 0; at < bytes.length; index++) {
    const size = sizes[index % sizes.length]!
    yield bytes.subarray(at, at + size)
    at += size
  }
}

async function readAll(pieces: Iterable<Buffer>) {
  const parts = partsOf(Readable.from(pieces), TYPE, 2)
  const found: { name: string; filename: string | undefined; content: Buffer }[] = []
  for (let part = await parts.next(); part; part = await parts.next()) {
    const chunks: Buffer[] = []
    for await (const chunk of part.body) chunks.push(chunk as Buffer)
    found.push({ name: part.name, filename: part.filename, content: Buffer.concat(chunks) })
  }
  return found
}

/** Much of it looks like the beginning of a boundary. */
const content = fc
  .array(
    fc.oneof(fc.uint8Array({ maxLength: 20 }), fc.constantFrom('\r\n', '\r\n--', '--b0', '\r\n--b0b', '-')),
    {
      maxLength: 30,
    },
  )
  .map(pieces => Buffer.concat(pieces.map(piece => Buffer.from(piece as string))))
const sizes = fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 5 })

test('a form has the same files, however it is cut on its way', async () => {
  await fc.assert(
    fc.asyncProperty(content, content, sizes, async (first, second, lengths) => {
      const found = await readAll(cut(formOf([first, second]), lengths))
      expect(found).toEqual([
        { name: 'part0', filename: '0.tar.xz', content: first },
        { name: 'part1', filename: '1.tar.xz', content: second },
      ])
    }),
    { numRuns: 200 },
  )
})

test('a form that ends anywhere before its end is an error that may pass', async () => {
  const form = formOf([Buffer.from('metadata'), Buffer.from('root file system')])
  // What follows the last boundary but two dashes is of no use.
  for (let length = 0; length < form.length - 4; length++) {
    const error = await readAll([form.subarray(0, length)]).catch(error => error)
    expect(error, `${length} bytes`).toBeInstanceOf(Error)
    if (error instanceof SourceError) expect(error.isTemporary).toBe(true)
  }
})

test('an error of the connection is one of the part that is being read, even if it comes before its reader', async () => {
  const form = formOf([Buffer.alloc(100_000), Buffer.alloc(10)])
  for (const delay of [0, 20]) {
    async function* breaking() {
      yield form.subarray(0, 50_000)
      throw new Error('connection lost')
    }
    const parts = partsOf(Readable.from(breaking()), TYPE, 2)
    const part = await parts.next()
    await new Promise(resolve => setTimeout(resolve, delay))
    const read = async () => {
      for await (const _ of part!.body);
    }
    await expect(read()).rejects.toThrow('connection lost')
  }
})

test('a reader that leaves ends the transfer', async () => {
  function* endless() {
    yield formOf([Buffer.alloc(10)]).subarray(0, 120)
    for (;;) yield Buffer.alloc(65_536)
  }
  const body = Readable.from(endless())
  const parts = partsOf(body, TYPE, 2)
  const part = await parts.next()
  for await (const _ of part!.body) break
  await expect.poll(() => body.destroyed).toBe(true)
})
