import { expect, test } from 'vitest'
import { bytes, call, publish, sha1, uuid } from '../support/api.ts'
import { cli, done, startCli } from '../support/cli.ts'
import { startImporter } from '../support/imports.ts'
import { startServer } from '../support/server.ts'
import { imgapi, remoteManifest, sendContent, sendPart, startSource } from '../support/source.ts'
import { until } from '../support/until.ts'

/** Imports, which the server does and the command watches. */

test('import brings an image with its origins, by UUID, by name and version, and by --latest', async () => {
  const source = await startServer()
  const base = await publish(source, bytes(5000), { name: 'base' })
  const child = await publish(source, bytes(5000), { name: 'web', version: '1', origin: base.uuid })
  const newer = await publish(source, bytes(5000), { name: 'web', version: '2' })
  const server = await startImporter()
  const byName = await done(cli(server, ['import', 'web@1', '--from', source.url]))
  expect(byName.stdout).toBe(`imported ${base.uuid}, ${child.uuid}\n`)
  expect(byName.stderr).toMatch(new RegExp(`^${base.uuid}: imported, 4\\.88 KiB`, 'm'))
  expect((await call(server, 'GET', `/images/${child.uuid}`)).body).toMatchObject({
    state: 'active',
    published_at: child.published_at,
  })
  const ambiguous = await cli(server, ['import', 'web', '--from', source.url])
  expect(ambiguous.code).toBe(1)
  expect(ambiguous.stderr).toContain('--latest')
  expect((await done(cli(server, ['import', '--latest', 'web', '--from', source.url]))).stdout).toContain(
    newer.uuid,
  )
  const again = await done(cli(server, ['import', child.uuid, '--from', source.url]))
  expect(again.stdout).toBe(`already there: ${child.uuid}\n`)
})

test('what the source does not have is exit code 3 by name, and an error that names the source by UUID', async () => {
  const source = await startServer()
  const server = await startImporter()
  expect((await cli(server, ['import', 'nothing', '--from', source.url])).code).toBe(3)
  const missing = await cli(server, ['import', uuid(), '--from', source.url])
  expect(missing).toMatchObject({ code: 1, stderr: expect.stringContaining('RemoteSourceError') })
  expect((await cli(server, ['import', uuid()])).code).toBe(2)
})

test.each(['SIGINT', 'SIGKILL'] as const)(
  'an import whose command %s ends goes on in the server, byte for byte, and can be asked for again',
  async signal => {
    const content = bytes(2_000_000)
    const manifest = remoteManifest(content)
    let sendRest: (() => void) | undefined
    const source = await startSource(
      imgapi([manifest], (_request, response) => {
        response.writeHead(200, { 'content-length': content.length })
        response.write(content.subarray(0, 1_000_000))
        sendRest = () => response.end(content.subarray(1_000_000))
      }),
    )
    const server = await startImporter()
    const args = ['import', manifest.uuid, '--from', source.url]
    const command = startCli(server, args)
    // A line of progress shows that the command watches the job.
    await until('half of the file', () => sendRest !== undefined && command.stderr().includes(manifest.uuid))
    command.signal(signal)
    const { code, stderr } = await command.ended
    if (signal === 'SIGINT') {
      expect({ code, stderr }).toEqual({ code: 130, stderr: expect.stringContaining('the server continues') })
    }
    sendRest!()
    const state = async () => (await call(server, 'GET', `/images/${manifest.uuid}`)).body.state
    await until('the image to be there', async () => (await state()) === 'active')
    expect((await done(cli(server, args))).stdout).toBe(`already there: ${manifest.uuid}\n`)
    const file = await fetch(`${server.url}/images/${manifest.uuid}/file`)
    expect(sha1(new Uint8Array(await file.arrayBuffer()))).toBe(sha1(content))
  },
)

test('a retry of the server is shown while it lasts, and in the job afterwards', async () => {
  const content = bytes(200_000)
  const manifest = remoteManifest(content)
  let sendRest: (() => void) | undefined
  let isBroken = false
  const source = await startSource(
    imgapi([manifest], (request, response) => {
      if (isBroken) sendRest = () => sendContent(content, request, response)
      else sendPart(content, 100_000, request, response)
      isBroken = true
    }),
  )
  const server = await startImporter()
  const command = startCli(server, ['import', manifest.uuid, '--from', source.url])
  await until(
    'the command to show the retry',
    () => sendRest !== undefined && command.stderr().includes('it retries'),
  )
  sendRest!()
  const { code, stderr } = await command.ended
  expect(code).toBe(0)
  expect(stderr.match(/the server reports: /g)).toHaveLength(1)
  const [job] = JSON.parse((await done(cli(server, ['jobs', '--json']))).stdout)
  const { stdout } = await done(cli(server, ['jobs', 'show', job.uuid]))
  expect(stdout).toContain('last retry: ')
  expect(stdout).not.toContain('error: ')
})

test('an import that fails says why, and jobs shows it; a password of the source is nowhere', async () => {
  const content = bytes(1000)
  const manifest = remoteManifest(content)
  const source = await startSource(
    imgapi([manifest], (request, response) => sendContent(bytes(1000), request, response)),
  )
  const server = await startImporter()
  const from = source.url.replace('//', '//reader:hidden-word@')
  const { code, stdout, stderr } = await cli(server, ['import', manifest.uuid, '--from', from, '-v'])
  expect(code).toBe(1)
  expect(stderr).toContain(`the import of ${manifest.uuid} failed: `)
  const list = await done(cli(server, ['jobs']))
  expect(list.stdout).toMatch(new RegExp(`failed +${manifest.uuid}`))
  const [job] = JSON.parse((await done(cli(server, ['jobs', '--json']))).stdout)
  const shown = await cli(server, ['jobs', 'show', job.uuid, '--wait'])
  expect(shown).toMatchObject({ code: 1, stderr: expect.stringContaining('failed') })
  expect(stdout + stderr + list.stdout + shown.stdout + shown.stderr).not.toContain('hidden-word')
  expect((await done(cli(server, ['jobs', 'cancel', job.uuid]))).stdout).toContain('its record is removed')
  expect((await done(cli(server, ['jobs']))).stdout).toBe('there are no jobs\n')
  expect((await cli(server, ['jobs', 'show', uuid()])).code).toBe(3)
})
