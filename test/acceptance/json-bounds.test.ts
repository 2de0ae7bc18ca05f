import { linkSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parseJson } from '../../src/images/json.ts'
import { readConfig } from '../../src/sources/registry/manifest.ts'
import { bytes, call, type Manifest, manifest, publish, sha1, uuid } from '../support/api.ts'
import { cli } from '../support/cli.ts'
import { namesIn } from '../support/folders.ts'
import { importFrom, startImporter } from '../support/imports.ts'
import { startMistify } from '../support/mistify.ts'
import { fc } from '../support/properties.ts'
import { run } from '../support/run.ts'
import { startServer, type TestServer, temporaryFolder } from '../support/server.ts'
import { imgapi, remoteManifest, sendContent, sendJson, startSource } from '../support/source.ts'
import { until } from '../support/until.ts'

/** Manifests that are nested too deep or too large, by every way on which they come in: they are refused alone. */

const nested = (levels: number) => '['.repeat(levels) + ']'.repeat(levels)
/** A value within a megabyte that takes sixty to write out. */
const wide = `${'['.repeat(60)}${Array(450_000).fill(1)}${']'.repeat(60)}`
const HOSTILE = { deep: nested(5000), wide } as const
const TOO_MUCH = /nested deeper than 64 levels|larger than \d+ characters/

const withMore = (value: object, more: string) => JSON.stringify(value).replace('{', `{"more": ${more},`)

const listsAreFine = async (server: TestServer) => {
  for (const path of ['/images?state=all', '/datasets']) {
    expect((await call(server, 'GET', path)).status).toBe(200)
  }
}

test('JSON is within bounds exactly if it is nested 64 deep at most', () => {
  expect(parseJson(nested(64))).toBeDefined()
  expect(() => parseJson(nested(65))).toThrow('is nested deeper than 64 levels')
  expect(() => parseJson(`{"a": ${nested(64)}}`)).toThrow('is nested deeper than 64 levels')
  expect(() => parseJson(nested(1_000_000))).toThrow('is nested deeper than 64 levels')
  expect(() => parseJson(wide)).toThrow('is larger than')
  expect(() => parseJson('{"a":')).toThrow('is not JSON')
})

test('whatever is written out within the limit can be read again', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 20 }), value => {
      const text = JSON.stringify(value, null, 2)
      expect(parseJson(text, text.length)).toEqual(JSON.parse(text))
    }),
  )
})

test('in bodies', async () => {
  const server = await startMistify()
  const { uuid: id } = await publish(server)
  for (const more of Object.values(HOSTILE)) {
    const body = withMore(manifest(), more)
    const full = withMore({ v: 2, uuid: uuid(), owner: uuid(), ...manifest() }, more)
    for (const [at, path, sent] of [
      [server, '/images', body],
      [server, `/images/${id}?action=update`, `{"tags": {"a": ${more}}}`],
      [server, `/images/${uuid()}?action=import`, full],
      [server, `/images/${id}/acl`, more],
      [server.mistify, '/images', `{"source": ${more}}`],
    ] as const) {
      const answer = await call(at, 'POST', path, { body: sent })
      expect(answer.status, `${path} ${answer.text.slice(0, 100)}`).toBe(400)
      expect(answer.body.message).toMatch(TOO_MUCH)
    }
  }
  await listsAreFine(server)
})

test('from other servers: by import and by mirror, where other images come all the same', async () => {
  const content = bytes(1000)
  const fine = remoteManifest(content, { name: 'fine' })
  const bad = Object.values(HOSTILE).map(more => {
    const image = remoteManifest(content, { name: 'bad' })
    return { ...image, text: withMore(image, more) }
  })
  const child = remoteManifest(content, { name: 'child', origin: bad[0]!.uuid })
  const answer = imgapi([fine, child], (request, response) => sendContent(content, request, response))
  const source = await startSource((request, response) => {
    const [path] = request.url!.split('?')
    const one = bad.find(({ uuid: id }) => path === `/images/${id}`)
    if (one) response.end(one.text)
    else if (path === '/images') {
      response.end(`[${[JSON.stringify(fine), JSON.stringify(child), ...bad.map(({ text }) => text)]}]`)
    } else if (path === '/ping') sendJson(response, 200, { ping: 'pong', imgapi: true })
    else answer(request, response)
  })
  const server = await startImporter({ config: { mirrors: [{ source: source.url, interval: 100_000 }] } })
  await until('the run is over', () => server.log().some(({ msg }) => msg.startsWith('mirror of ')))
  const names = async () => (await call(server, 'GET', '/images')).body.map(({ name }: Manifest) => name)
  expect(await names()).toEqual(['fine'])
  const [{ actions }] = (await call(server, 'GET', '/mirrors?actions=true')).body
  const skipped = actions.filter(({ result }: { result: string }) => result === 'skipped')
  expect(skipped.map(({ uuid: id }: Manifest) => id).sort()).toEqual(
    [child, ...bad].map(({ uuid: id }) => id).sort(),
  )
  for (const { reason } of skipped) expect(reason).toMatch(TOO_MUCH)
  for (const { uuid: id } of bad) {
    const asked = await importFrom(server, id, source.url).then(
      ({ error }) => error.message,
      error => (error as Error).message,
    )
    expect(asked).toMatch(TOO_MUCH)
  }
  await listsAreFine(server)
})

test('in the drop folder, where the manifest is moved aside with the reason', async () => {
  const server = await startServer()
  const folder = join(server.datadir, 'incoming')
  mkdirSync(folder)
  for (const [name, more] of Object.entries(HOSTILE)) {
    const content = bytes(100)
    const files = [{ sha1: sha1(content), size: content.length, compression: 'none' }]
    const image = { v: 2, uuid: uuid(), owner: uuid(), ...manifest(), files }
    writeFileSync(join(folder, `${name}.zfs`), content)
    writeFileSync(join(folder, `${name}.json`), withMore(image, more))
  }
  await until('both are moved aside', () => namesIn(join(folder, 'failed')).length === 6)
  const reported = () => server.log().filter(({ level, msg }) => level === 50 && TOO_MUCH.test(msg))
  await until('both are reported', () => reported().length === 2)
  await listsAreFine(server)
})

test('in bundles', async () => {
  const server = await startServer()
  for (const more of Object.values(HOSTILE)) {
    const folder = temporaryFolder()
    const image = { ...remoteManifest(bytes(10)), state: 'active' }
    writeFileSync(join(folder, 'a.imgmanifest'), withMore(image, more))
    await run('tar', ['cf', 'bundle.tar', 'a.imgmanifest'], { cwd: folder })
    const { code, stderr } = await cli(server, ['bundle', 'import', join(folder, 'bundle.tar')])
    expect(code).toBe(1)
    expect(stderr).toMatch(TOO_MUCH)
  }
})

test('in configs of container images', () => {
  for (const more of Object.values(HOSTILE)) expect(() => readConfig(`{"x": ${more}}`)).toThrow(TOO_MUCH)
})

test('in the drop folder links and pipes are left where they are, and no reason is written through a link', async () => {
  const server = await startServer()
  const folder = join(server.datadir, 'incoming')
  const mine = join(server.folder, 'mine')
  writeFileSync(mine, 'not for the drop folder')
  mkdirSync(join(folder, 'failed'), { recursive: true })
  await run('ln', ['-s', mine, join(folder, 'failed', 'broken.json.error')])
  await run('mkfifo', [join(folder, 'pipe.json')])
  await run('ln', ['-s', mine, join(folder, 'link.json')])
  writeFileSync(join(folder, 'pipe.zfs'), 'x')
  writeFileSync(join(folder, 'link.zfs'), 'x')
  linkSync(mine, join(folder, 'broken.zfs'))
  writeFileSync(join(folder, 'broken.json'), '{"v": 2,')
  const isSaid = (text: string) => server.log().some(({ msg }) => msg.includes(text))
  await until('the pipe is reported', () => isSaid('pipe.json is left where it is: it is a pipe'))
  await until('the link is reported', () => isSaid('link.json is left where it is: it is a symbolic link'))
  await until('the broken one is moved aside', () => namesIn(join(folder, 'failed')).includes('broken.json'))
  const read = await run('cat', [mine])
  expect(read.stdout).toBe('not for the drop folder')
  expect((await run('cat', [join(folder, 'failed', 'broken.json.error')])).stdout).toContain('is not JSON')
  expect(server.log().filter(({ msg }) => msg.includes('is left where it is'))).toHaveLength(2)
})
