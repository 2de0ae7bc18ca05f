import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { bytes, call, create, publish, sha1, uuid } from '../support/api.ts'
import { cli, credentials, done } from '../support/cli.ts'
import { imgapi, run } from '../support/run.ts'
import { PASSWORD, startServer, temporaryFolder, USER } from '../support/server.ts'
import { shared } from '../support/shared-server.ts'
import { sendJson, startSource } from '../support/source.ts'

/** The commands against a real server: what they print, do, and end with. */

const sharedServer = shared(startServer)

test('an image goes from create to delete by commands alone', async () => {
  const server = await sharedServer()
  const content = bytes(3000)
  const file = join(temporaryFolder(), 'image.zfs')
  writeFileSync(file, content)
  const fields = [
    'name=web',
    'version=1.0',
    'type=zone-dataset',
    'os=smartos',
    'tags.role=web',
    'public=true',
  ]
  const id = (await done(cli(server, ['create', '-q', ...fields]))).stdout.trim()
  await done(cli(server, ['add-file', id, '-f', file]))
  expect((await done(cli(server, ['activate', id]))).stdout).toBe(`activated ${id} (web 1.0): active\n`)
  const shown = JSON.parse((await done(cli(server, ['get', id]))).stdout)
  expect(shown).toMatchObject({
    uuid: id,
    state: 'active',
    public: true,
    version: '1.0',
    tags: { role: 'web' },
    files: [{ sha1: sha1(content), size: 3000, compression: 'none' }],
  })
  await done(cli(server, ['update', id, 'description=Mine', 'requirements.min_ram=512']))
  await done(cli(server, ['disable', id]))
  expect((await call(server, 'GET', `/images/${id}`)).body).toMatchObject({
    state: 'disabled',
    description: 'Mine',
    requirements: { min_ram: 512 },
  })
  await done(cli(server, ['enable', id]))
  await done(cli(server, ['update', id, 'description=']))
  expect((await call(server, 'GET', `/images/${id}`)).body.description).toBeUndefined()
  expect((await done(cli(server, ['delete', id]))).stdout).toBe(`deleted ${id}\n`)
  expect((await cli(server, ['get', id])).code).toBe(3)
})

test('list shows the columns of imgadm avail, takes filters, sorts, and prints JSON', async () => {
  const server = await startServer()
  const base = await publish(server, bytes(10), { name: 'base', version: '1' })
  const newer = await publish(server, bytes(20), { name: 'base', version: '2' })
  const linux = await publish(server, bytes(30), { name: 'debian', os: 'linux', tags: { role: 'os' } })
  const { stdout } = await done(cli(server, ['list']))
  const [heading, ...rows] = stdout.trimEnd().split('\n')
  expect(heading!.split(/ +/)).toEqual(['UUID', 'NAME', 'VERSION', 'OS', 'TYPE', 'PUBLISHED'])
  const today = String(base.published_at).slice(0, 10)
  expect(rows[0]!.split(/ +/)).toEqual([base.uuid, 'base', '1', 'smartos', 'zone-dataset', today])
  expect(rows).toHaveLength(3)
  const uuids = async (...args: string[]) =>
    (await done(cli(server, ['list', '-H', '-o', 'uuid', ...args]))).stdout.split('\n').slice(0, -1)
  expect(await uuids('os=linux')).toEqual([linux.uuid])
  expect(await uuids('name=~bas')).toEqual([base.uuid, newer.uuid])
  expect(await uuids('name!=base')).toEqual([linux.uuid])
  expect(await uuids('tags.role=os')).toEqual([linux.uuid])
  expect(await uuids('tag.role=os')).toEqual([linux.uuid])
  expect(await uuids('os=~mart', 'version=2')).toEqual([newer.uuid])
  expect(await uuids('--latest', '-s', 'name')).toEqual([newer.uuid, linux.uuid])
  expect(await uuids('-s', '-size')).toEqual([linux.uuid, newer.uuid, base.uuid])
  const json = JSON.parse((await done(cli(server, ['list', '-j', 'version=2']))).stdout)
  expect(json).toEqual([expect.objectContaining({ uuid: newer.uuid })])
  expect(await cli(server, ['list', 'name=nothing'])).toMatchObject({ code: 0 })
})

test('list finds images that are not active for who may see them', async () => {
  const server = await startServer()
  const { uuid: id } = await create(server)
  expect((await cli(server, ['list', 'state=unactivated', '-H', '-o', 'uuid,state'])).stdout).toBe(
    `${id}  unactivated\n`,
  )
})

test('what list does not know it names, with exit code 2', async () => {
  const server = await sharedServer()
  for (const [args, named] of [
    [['list', 'nmae=x'], 'nmae'],
    [['list', 'base'], 'base'],
    [['list', '-o', 'nope'], 'nope'],
    [['list', '-s', 'nope'], 'nope'],
    [['get', 'base'], 'base'],
    [['get'], 'UUID'],
    [['acl', 'give', uuid(), uuid()], 'give'],
  ] as const) {
    const { code, stderr } = await cli(server, [...args])
    expect({ code, args }).toEqual({ code: 2, args })
    expect(stderr.split('\n')[0]).toContain(named)
  }
})

test('tree shows an image between its origins and its children', async () => {
  const server = await startServer()
  const base = await publish(server, bytes(1), { name: 'base' })
  const middle = await publish(server, bytes(1), { name: 'middle', origin: base.uuid })
  await publish(server, bytes(1), { name: 'other', origin: base.uuid })
  const top = await publish(server, bytes(1), { name: 'top', origin: middle.uuid })
  const { stdout } = await done(cli(server, ['tree', middle.uuid]))
  expect(stdout).toBe(
    [
      `base 1.0.0  ${base.uuid}`,
      `└─ middle 1.0.0  ${middle.uuid} ←`,
      `   └─ top 1.0.0  ${top.uuid}`,
      '',
    ].join('\n'),
  )
  expect((await done(cli(server, ['tree']))).stdout).toContain(`├─ middle 1.0.0  ${middle.uuid}\n│  └─ top`)
  expect((await cli(server, ['tree', uuid()])).code).toBe(3)
})

test('acl, icons and channels can be changed', async () => {
  const channels = [{ name: 'dev', default: true }, { name: 'release' }]
  const server = await sharedServer({ config: { channels } })
  const image = await publish(server)
  const account = uuid()
  const shared = await done(cli(server, ['acl', 'add', image.uuid, account]))
  expect(shared.stdout).toContain(`is shared with ${account}`)
  expect((await done(cli(server, ['acl', 'remove', image.uuid, account]))).stdout).toContain(
    'with no account',
  )
  const icon = join(temporaryFolder(), 'icon')
  writeFileSync(icon, Buffer.from([0x89, 0x50, 0x4e, 0x47, 1, 2, 3]))
  await done(cli(server, ['add-icon', image.uuid, '-f', icon]))
  expect((await call(server, 'GET', `/images/${image.uuid}/icon`)).headers.get('content-type')).toBe(
    'image/png',
  )
  expect((await done(cli(server, ['channels']))).stdout).toMatch(/dev +yes/)
  const added = await done(cli(server, ['channel-add', 'release', image.uuid]))
  expect(added.stdout).toContain('is in dev, release')
  expect((await done(cli(server, ['list', '-H', '-o', 'uuid', '-C', 'release']))).stdout).toBe(
    `${image.uuid}\n`,
  )
})

test('a server without channels says so', async () => {
  const server = await sharedServer()
  expect(await cli(server, ['channels'])).toMatchObject({ code: 0, stdout: 'the server has no channels\n' })
})

test('credentials come from a URL, the environment, or the config; none are ever printed', async () => {
  const server = await sharedServer()
  const noUser = { IMGAPI_URL: '', IMGAPI_USER: '', IMGAPI_PASSWORD: '', HOME: temporaryFolder() }
  const withUser = server.url.replace('//', `//${USER}:${encodeURIComponent(PASSWORD)}@`)
  const config = join(temporaryFolder(), 'client.json')
  const { port } = server
  const userdb = [
    { name: 'hashed', password: `$scrypt$ln=15,r=8,p=3$${'A'.repeat(22)}$${'A'.repeat(43)}` },
    { name: USER, password: PASSWORD },
  ]
  writeFileSync(config, JSON.stringify({ datadir: 'elsewhere', host: '127.0.0.1', port, userdb }))
  for (const [args, env] of [
    [['-u', withUser], noUser],
    [['-c', config], noUser],
    [[], { ...noUser, ...credentials(server) }],
    [[], { ...noUser, IMGAPI_URL: withUser }],
  ] as const) {
    const { stdout, stderr } = await done(imgapi(['ping', ...args], { env }))
    expect(stdout).toContain(`you are ${USER}`)
    expect(stdout + stderr).not.toContain('correct')
  }
  const wrong = server.url.replace('//', '//admin:wrong-secret@')
  const refused = await imgapi(['list', '-v', '-u', wrong], { env: noUser })
  expect(refused.code).toBe(1)
  expect(refused.stderr).toContain('UnauthorizedError')
  expect(refused.stderr).not.toContain('wrong-secret')
  expect(await imgapi(['list'], { env: noUser })).toMatchObject({ code: 2 })
})

test('a server that --url names gets no credentials that are for the server of IMGAPI_URL', async () => {
  const server = await startServer()
  const other = await startSource((_, response) => sendJson(response, 200, []))
  const { stderr } = await done(cli(server, ['list', '-u', other.url]))
  expect(stderr).toContain(`IMGAPI_USER and IMGAPI_PASSWORD are for ${server.url}`)
  expect(stderr).not.toContain(PASSWORD)
  expect((await cli(server, ['ping', '-u', `${server.url}/`])).stdout).toContain(`you are ${USER}`)
  const asked = await cli(server, ['list', '-u', other.url.replace('//', '//reader@')])
  expect(asked).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('the password of reader is not known'),
  })
  await done(imgapi(['list', '-u', other.url], { env: { ...credentials(server), IMGAPI_URL: '' } }))
  const basic = `Basic ${Buffer.from(`${USER}:${PASSWORD}`).toString('base64')}`
  expect(other.requests.map(({ authorization }) => authorization)).toEqual([undefined, basic])
})

test('an answer that is not one of the API is an error, and none is a crash', async () => {
  const [id, other] = [uuid(), uuid()]
  const strange = await startSource((request, response) => {
    if (request.url?.startsWith('/images/')) sendJson(response, 200, { uuid: other, name: 'n' })
    else if (request.url?.startsWith('/ping')) response.end('<html>')
    else sendJson(response, 422, { code: 'Strange', message: 'no list today', errors: [null, { field: 1 }] })
  })
  for (const [args, message] of [
    [['get', id], 'the server answers with the manifest of another image'],
    [['ping'], 'the server does not answer with JSON: is this an image server?'],
    [['list'], 'no list today (Strange)'],
  ] as const) {
    const { code, stderr } = await cli(strange, [...args])
    expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining(message) })
  }
})

test('a redirect is reported and not followed', async () => {
  const elsewhere = await startSource((_, response) => sendJson(response, 200, []))
  const front = await startSource((request, response) => {
    response.writeHead(302, { location: `${elsewhere.url}${request.url}` }).end()
  })
  const { code, stderr } = await cli(front, ['list'])
  expect({ code, stderr }).toMatchObject({
    code: 1,
    stderr: expect.stringContaining(`to ${elsewhere.url}/images`),
  })
  expect(front.requests).toHaveLength(1)
  expect(elsewhere.requests).toEqual([])
})

test('an error is one line that says what, where, and what to do; -v adds the request id and the answer', async () => {
  const server = await startServer()
  const { uuid: id } = await create(server)
  const short = await cli(server, ['activate', id])
  expect(short).toMatchObject({ code: 1, stdout: '' })
  expect(short.stderr.trimEnd().split('\n')).toHaveLength(1)
  expect(short.stderr).toContain(`${server.url}/images/${id}`)
  expect(short.stderr).toContain('it has no file (NoActivationNoFile)')
  expect(short.stderr).toContain('imgapi add-file')
  const long = await cli(server, ['activate', '-v', id])
  expect(long.stderr).toMatch(/imgapi: request id: [0-9a-f-]{36}\n/)
  expect(long.stderr).toContain('imgapi: answer: 422 {')
  await server.stop()
  const down = await cli(server, ['list'])
  expect(down).toMatchObject({ code: 1, stdout: '' })
  expect(down.stderr).toContain('no server listens there')
})

test('output has no colours where it goes to a file', async () => {
  const server = await sharedServer()
  const image = await publish(server)
  const { stdout } = await done(cli(server, ['tree', image.uuid], { env: { FORCE_COLOR: '1' } }))
  expect(stdout).not.toContain('\u001b')
})

test('completion knows every command, and its script is one the shell can read', async () => {
  const { stdout } = await done(imgapi(['completion', 'bash']))
  const script = `${stdout}\nCOMP_WORDS=(imgapi publ); COMP_CWORD=1; _imgapi; echo "\${COMPREPLY[@]}"
COMP_WORDS=(imgapi list --la); COMP_CWORD=2; _imgapi; echo "\${COMPREPLY[@]}"
COMP_WORDS=(imgapi acl r); COMP_CWORD=2; _imgapi; echo "\${COMPREPLY[@]}"`
  expect(await run('bash', ['--norc'], { input: script })).toEqual({
    code: 0,
    stdout: 'publish\n--latest\nremove\n',
    stderr: '',
  })
  for (const shell of ['zsh', 'fish']) {
    const { stdout: text } = await done(imgapi(['completion', shell]))
    for (const name of ['publish', 'get-file', 'latest']) expect(text).toContain(name)
  }
})

test('the wrong icon, and a file that is not there, are failures of one line', async () => {
  const server = await sharedServer()
  const { uuid: id } = await create(server)
  const folder = temporaryFolder()
  const text = join(folder, 'text')
  writeFileSync(text, 'not a picture')
  expect(await cli(server, ['add-icon', id, '-f', text])).toMatchObject({
    code: 1,
    stderr: `imgapi: ${text}: not a PNG, JPEG or GIF image\n`,
  })
  const missing = await cli(server, ['add-file', id, '-f', join(folder, 'missing')])
  expect(missing.code).toBe(1)
  expect(missing.stderr.trimEnd().split('\n')).toHaveLength(1)
  expect(readFileSync(text, 'utf8')).toBe('not a picture')
})
