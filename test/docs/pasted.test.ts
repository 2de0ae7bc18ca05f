import { mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { describe, expect } from 'vitest'
import { call } from '../support/api.ts'
import { writeImage } from '../support/datadir.ts'
import { BLOCKS, EXAMPLE, MANUALS, read, texts } from '../support/documents.ts'
import { namesIn } from '../support/folders.ts'
import { needsAll } from '../support/programs.ts'
import { run } from '../support/run.ts'
import { PROGRAM, startServer, type TestServer, temporaryFolder } from '../support/server.ts'
import { until } from '../support/until.ts'

/** Documents show what can be pasted, so it is pasted here. */

const BASE = '6de01e97-d7ec-4906-bd8b-cb4eafdb7c8b'
const OLDER = '70e3ae72-96b6-11e6-9056-9737fd4d0764'

const SOURCE = 'https://images.smartos.org'

/** A server that has images with the UUIDs in the documents, in place of SOURCE. */
async function startSource(): Promise<TestServer> {
  const folder = temporaryFolder()
  const changes = { name: 'base-64-lts', published_at: '2024-01-01T00:00:00.000Z' }
  writeImage(folder, OLDER, { ...changes, version: '23.4.0', published_at: '2023-01-01T00:00:00.000Z' })
  writeImage(folder, BASE, { ...changes, version: '24.4.1' })
  return startServer({ folder })
}

/** Documents about an image that is on the server already. */
const HAS_IMAGE = new Set(['support-files/doc/imgadm.md'])

interface Outcome {
  server: TestServer
  folder: string
  stdout: string
}

/** Pastes the blocks of a document into a shell, in a folder with the example config and its data directory. */
async function paste(document: string): Promise<Outcome> {
  const isAboutSource = read(document).includes(SOURCE)
  const source = isAboutSource ? (await startSource()).url : SOURCE
  const folder = temporaryFolder()
  if (HAS_IMAGE.has(document)) writeImage(folder, BASE)
  else mkdirSync(join(folder, 'data'))
  renameSync(join(folder, 'data'), join(folder, EXAMPLE.datadir))
  const blocks = BLOCKS.get(document)!
  const here = (text: string) => text.replaceAll(SOURCE, source)
  const config = texts(blocks, 'json run').map(text => JSON.parse(here(text)))
  const server = await startServer({
    folder,
    config: Object.assign({ ...EXAMPLE, port: 0, allowPrivateSources: true }, ...config),
  })
  mkdirSync(join(folder, 'bin'))
  symlinkSync(PROGRAM, join(folder, 'bin/imgapi'))
  writeFileSync(join(folder, 'imgapi.example.json'), JSON.stringify(EXAMPLE))
  const { code, stdout, stderr } = await run('sh', ['-eu'], {
    input: here(texts(blocks, 'sh run').join('\n'))
      .replaceAll('http://127.0.0.1:8080', server.url)
      .replaceAll('/var/tmp', folder),
    cwd: folder,
    env: { PATH: [join(folder, 'bin'), process.env.PATH].join(delimiter) },
    timeout: 120_000,
  })
  expect({ code, stdout }, stderr).toMatchObject({ code: 0 })
  return { server, folder, stdout }
}

/** Every request that the server answered, in order. It must have stopped, so that its log is complete. */
const answersOf = (server: TestServer) =>
  server
    .log()
    .flatMap(({ route, res }) =>
      route ? [{ route: String(route), status: (res as { statusCode: number }).statusCode }] : [],
    )

describe('what a document shows with curl and imgapi works as pasted', () => {
  const needsPrograms = needsAll({ curl: 'curl', openssl: 'openssl', tar: 'tar' })

  const expectSame = (folder: string, file: string, copy: string) =>
    expect(readFileSync(join(folder, copy)).equals(readFileSync(join(folder, file)))).toBe(true)

  /** What to expect besides success. */
  const EXPECTED: Record<string, (outcome: Outcome) => unknown> = {
    'README.md': ({ stdout, folder }) => {
      expect(stdout).toContain('not an image\n')
      expect(stdout).toContain('$scrypt$ln=15,')
      expectSame(folder, 'my-image.zfs.gz', 'copy.zfs.gz')
    },
    'support-files/doc/configuration.md': ({ stdout }) => {
      expect(stdout).toContain('$scrypt$ln=15,')
      expect(stdout).toMatch(/^dev\b/m)
    },
    'support-files/doc/command-line.md': ({ stdout, folder }) => {
      expect(stdout).toContain('web-1.0.0.imgmanifest: ok')
      expect(stdout).toContain('already there and identical')
      expectSame(folder, 'web-1.0.0.zfs.gz', 'db.zfs.gz')
    },
    'support-files/doc/imgadm.md': ({ folder }) => {
      expect(readFileSync(join(folder, `.imgadm-downloads/${BASE}.file`), 'utf8')).toBe(BASE)
    },
    'support-files/doc/importing.md': async ({ stdout, server }) => {
      expect(stdout).toContain('"state": ')
      await until('both images are imported', async () => {
        const { body } = await call(server, 'GET', '/images', { anonymous: true })
        return body.length === 2
      })
    },
    'support-files/doc/mirrors-and-bundles.md': async ({ server, stdout, folder }) => {
      expect(stdout).toMatch(/: \d+ imported, /)
      expect(stdout).toContain('imgadm install -m base-64-lts-24.4.1-')
      const incoming = join(folder, 'imgapi-data/incoming')
      await until('the drop folder is empty', () => namesIn(incoming).length === 0)
      const { body } = await call(server, 'GET', '/images?name=web', { anonymous: true })
      expect(body).toMatchObject([{ version: '1.0.0', state: 'active' }])
    },
    'support-files/doc/gateways.md': ({ stdout }) => expect(stdout).toContain('not an image\n'),
    'support-files/doc/deploying.md': ({ folder }) => {
      expect(readFileSync(join(folder, 'fullchain.pem'), 'utf8')).toContain('BEGIN CERTIFICATE')
    },
    'support-files/doc/maintenance.md': ({ stdout }) => {
      expect(stdout).toContain('no problem found')
      expect(stdout).toContain('found 0 thing(s)')
    },
  }

  /** How often these requests are in the log. */
  const REQUESTS: Record<string, Record<string, number>> = {
    'README.md': { CreateImage: 2, AddImageFile: 2, ActivateImage: 2, GetImageFile: 2, DeleteImage: 1 },
    'support-files/doc/command-line.md': { AdminImportImage: 1, ActivateImage: 2, DeleteImage: 1 },
    'support-files/doc/gateways.md': {
      'Mistify.UploadImage': 1,
      'Mistify.GetImage': 1,
      'Mistify.DownloadImage': 1,
      'Mistify.DeleteImage': 1,
    },
  }

  /** Refusals that belong to what is shown. */
  const REFUSED: Record<string, unknown[]> = {
    // `publish` looks first whether the image exists.
    'support-files/doc/command-line.md': [{ route: 'GetImage', status: 404 }],
  }

  for (const document of MANUALS.filter(path => texts(BLOCKS.get(path)!, 'sh run').length > 0)) {
    needsPrograms(
      document,
      async () => {
        expect(Object.keys(EXPECTED)).toContain(document)
        const outcome = await paste(document)
        await EXPECTED[document]!(outcome)
        await outcome.server.stop()
        const answers = answersOf(outcome.server)
        const times = (name: string) => answers.filter(({ route }) => route === name).length
        const expected = REQUESTS[document] ?? {}
        expect(Object.fromEntries(Object.keys(expected).map(name => [name, times(name)]))).toEqual(expected)
        expect(answers.filter(({ status }) => status >= 400)).toEqual(REFUSED[document] ?? [])
      },
      150_000,
    )
  }
})
