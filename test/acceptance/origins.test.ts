import { expect, test } from 'vitest'
import { bytes, call, create, type Manifest, sha1, uuid } from '../support/api.ts'
import { cli } from '../support/cli.ts'
import { writeImage } from '../support/datadir.ts'
import { importFrom, startImporter } from '../support/imports.ts'
import { PATIENCE } from '../support/patience.ts'
import { runProgram } from '../support/program.ts'
import { startServer, type TestServer, temporaryFolder } from '../support/server.ts'
import { remoteManifest, sendJson, startSource } from '../support/source.ts'
import { until } from '../support/until.ts'

/** Chains of origins have an end, whatever is asked for at once and whatever was stored before. */

const setOrigin = (server: TestServer, id: string, origin: string | null) =>
  call(server, 'POST', `/images/${id}?action=update`, { body: { origin } })

/** An answer, or an error if the server gives none: one that walks in a circle never does. */
function answered<T>(what: string, asked: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer: ${what}`)), PATIENCE)
    asked.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}

test('of updates at once that would make a circle together one is refused, and all are answered', async () => {
  const server = await startServer()
  for (let round = 0; round < 30; round++) {
    const size = 2 + (round % 3)
    const images = await Promise.all(Array.from({ length: size }, () => create(server)))
    const updates = images.map(({ uuid: id }, index) =>
      setOrigin(server, id, images[(index + 1) % size]!.uuid),
    )
    const answers = await answered('an update of an origin', Promise.all(updates))
    const statuses = answers.map(({ status }) => status).sort()
    expect(statuses).toEqual([...Array.from({ length: size - 1 }, () => 200), 422])
    expect(answers.find(({ status }) => status === 422)!.body).toMatchObject({
      code: 'ValidationFailed',
      errors: [{ field: 'origin', message: 'an image cannot be its own ancestor' }],
    })
  }
  const other = await create(server)
  for (const image of (await call(server, 'GET', '/images?state=all')).body as Manifest[]) {
    if (image.uuid === other.uuid) continue
    const update = await answered('an update', setOrigin(server, image.uuid, other.uuid))
    expect(update.status).toBe(200)
  }
})

/** A data directory with active images whose origins are circles of that many, as older versions could make. */
function writeCircles(...sizes: number[]) {
  const folder = temporaryFolder()
  const circles = sizes.map(size => Array.from({ length: size }, uuid).sort())
  for (const circle of circles) {
    for (const [index, id] of circle.entries()) {
      writeImage(folder, id, { origin: circle[(index + 1) % circle.length], name: 'round' })
    }
  }
  return { folder, circles }
}

test('a circle of origins that is there at the start is reported, served, and ended by an update', async () => {
  const { folder, circles } = writeCircles(1, 2, 3)
  const child = uuid()
  writeImage(folder, child, { origin: circles[1]![0], state: 'unactivated' })
  const server = await startServer({ folder })
  for (const circle of circles) {
    const problems = server.log().filter(({ level, msg }) => level === 50 && msg.includes('are a circle'))
    expect(problems.map(({ msg }) => msg)).toContainEqual(expect.stringContaining(circle.join(', ')))
  }
  const checked = await runProgram('check', '-c', server.configPath, '--json')
  expect(checked.code).toBe(1)
  const found = JSON.parse(checked.stdout).problems.filter(({ kind }: { kind: string }) => kind === 'origin')
  expect(found.map(({ subject }: { subject: string }) => subject).sort()).toEqual(circles.flat().sort())

  for (const id of circles.flat()) {
    expect((await call(server, 'GET', `/images/${id}`)).status).toBe(200)
    const file = await fetch(`${server.url}/images/${id}/file`)
    expect(sha1(new Uint8Array(await file.arrayBuffer()))).toBe(sha1(Buffer.from(id)))
    const renamed = call(server, 'POST', `/images/${id}?action=update`, { body: { description: 'seen' } })
    expect((await answered('an update of a member', renamed)).status).toBe(200)
  }
  const below = await answered('an update below a circle', setOrigin(server, child, circles[2]![0]!))
  expect(below.status).toBe(200)
  const intoAnother = await setOrigin(server, circles[2]![0]!, child)
  expect(intoAnother.body).toMatchObject({ code: 'ValidationFailed', errors: [{ field: 'origin' }] })
  const tree = await answered('the tree', cli(server, ['tree', '--json']))
  for (const id of circles.flat()) expect(tree.stdout).toContain(id)
  for (const [first, second] of circles) {
    if (!second) continue
    const collected = await answered(
      'a bundle',
      cli(server, ['bundle', 'create', `${folder}/circle.tar`, first!]),
    )
    expect(collected).toMatchObject({ code: 1, stderr: expect.stringContaining('form a cycle') })
    expect((await call(server, 'DELETE', `/images/${first}`)).status).toBe(422)
    expect((await answered('the repair', setOrigin(server, first!, null))).status).toBe(200)
    // From now on it is like any other.
    expect((await setOrigin(server, first!, second)).status).toBe(422)
  }
  expect((await call(server, 'DELETE', `/images/${circles[0]![0]}`)).status).toBe(204)
  await call(server, 'DELETE', `/images/${child}`)
  for (const circle of circles.slice(1)) {
    for (const id of [...circle.slice(1), circle[0]]) {
      expect((await call(server, 'DELETE', `/images/${id}`)).status).toBe(204)
    }
  }
  await server.stop()
  const again = await startServer({ folder })
  expect(again.log().filter(({ level }) => level >= 50)).toEqual([])
})

test('an image of which others are made is imported below none of them', async () => {
  const folder = temporaryFolder()
  const [missing, child] = [uuid(), uuid()]
  writeImage(folder, child, { origin: missing, state: 'unactivated' })
  const server = await startServer({ folder })
  const body = { ...remoteManifest(bytes(10)), uuid: missing, origin: child }
  const refused = await call(server, 'POST', `/images/${missing}?action=import`, { body })
  expect(refused).toMatchObject({
    status: 422,
    body: { code: 'ValidationFailed', errors: [{ field: 'origin' }] },
  })
  const { uuid: other } = await create(server)
  const moved = await call(server, 'POST', `/images/${other}?action=update`, {
    body: { uuid: missing, origin: child },
  })
  expect(moved).toMatchObject({ status: 422, body: { errors: [{ field: 'origin' }] } })
  expect((await call(server, 'GET', `/images/${other}`)).status).toBe(200)
})

test('a clone of an image whose origins are a circle is refused and leaves nothing', async () => {
  const { folder, circles } = writeCircles(2)
  const [first, second] = circles[0]!
  const [owner, account] = [uuid(), uuid()]
  const changes = { owner, acl: [account] }
  writeImage(folder, first!, { origin: second, ...changes })
  writeImage(folder, second!, { origin: first, ...changes })
  const server = await startServer({ folder, config: { mode: 'dc', adminUuid: uuid() } })
  const path = `/images/${first}/clone?account=${account}`
  const cloned = await answered('a clone', call(server, 'POST', path))
  expect(cloned).toMatchObject({
    status: 422,
    body: { code: 'ValidationFailed', errors: [{ field: 'origin' }] },
  })
  expect((await call(server, 'GET', '/images?state=all')).body).toHaveLength(2)
})

test('an import and a mirror of a source whose origins are circles, or have no end, come to an end', async () => {
  const content = bytes(100)
  const circle = [remoteManifest(content), remoteManifest(content)]
  const [one, other] = circle.map(({ uuid: id }) => id) as [string, string]
  const listed = [
    { ...circle[0], origin: other },
    { ...circle[1], origin: one },
    remoteManifest(content, { origin: uuid() }),
    remoteManifest(content, { name: 'good' }),
  ]
  const source = await startSource((request, response) => {
    const [path = '', query = ''] = request.url!.split('?')
    const id = path.split('/')[2]
    const known = listed.find(image => image.uuid === id)
    if (!id) return sendJson(response, 200, query.includes('marker') ? [] : listed)
    if (path.endsWith('/file')) return response.end(content)
    // Each origin has another one, for ever.
    sendJson(
      response,
      200,
      known ?? remoteManifest(content, { uuid: id, origin: uuid(), state: 'disabled', disabled: true }),
    )
  })
  const server = await startImporter({ config: { mirrors: [{ source: source.url, interval: 3600 }] } })
  const mirror = async () => (await call(server, 'GET', '/mirrors')).body[0]
  await until('the end of the first run', async () => (await mirror()).last_run !== undefined)
  expect((await mirror()).last_run).toMatchObject({ state: 'succeeded', imported: 1, failed: 0 })
  expect(source.requests.length).toBeLessThan(300)
  for (const id of [one, listed[2]!.uuid]) {
    const asked = await call(server, 'POST', `/images/${id}?action=import-remote&source=${source.url}`)
    expect(asked.status).toBeGreaterThanOrEqual(400)
  }
})

test('a chain of many origins is listed as a tree and imported up to a bound', async () => {
  const folder = temporaryFolder()
  const chain = Array.from({ length: 101 }, uuid)
  for (const [index, id] of chain.entries())
    writeImage(folder, id, index > 0 ? { origin: chain[index - 1] } : {})
  const [source, server] = [await startServer({ folder }), await startImporter()]
  expect((await cli(source, ['tree'])).stdout.split('\n')).toHaveLength(102)
  const asked = await call(server, 'POST', `/images/${chain[100]}?action=import-remote&source=${source.url}`)
  expect(asked).toMatchObject({ status: 503, body: { code: 'RemoteSourceError' } })
  expect(await importFrom(server, chain[5]!, source.url)).toMatchObject({ execution: 'succeeded' })
})
