import { copyFileSync, existsSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { addFile, bytes, call, create, type Manifest, publish, sha1 } from '../support/api.ts'
import { cli, credentials, done, startCli } from '../support/cli.ts'
import { namesIn } from '../support/folders.ts'
import { startGate } from '../support/gate.ts'
import { needs, needsAll } from '../support/programs.ts'
import { run } from '../support/run.ts'
import { PROGRAM, startServer, type TestServer, temporaryFolder } from '../support/server.ts'
import { shared } from '../support/shared-server.ts'
import { imgapi, remoteManifest, sendContent, startSource } from '../support/source.ts'
import { until } from '../support/until.ts'

const sharedSource = shared(startServer)
const sharedTarget = shared(startServer)

const { validateMinimalManifest } = createRequire(import.meta.url)('imgmanifest')

/** A source with a chain of two, and a bundle of it. */
async function prepare({ size = 200_000 } = {}) {
  const source = await sharedSource()
  const base = await publish(source, bytes(size), { name: 'base', version: '1.0', tags: { role: 'os' } })
  const top = await publish(source, bytes(3000), { name: 'top image', version: '2.0/b', origin: base.uuid })
  const file = join(temporaryFolder(), 'images.tar')
  const made = await done(cli(source, ['bundle', 'create', file, top.uuid]))
  return { source, base, top, file, images: [base, top], made }
}

const importInto = (server: { url: string }, file: string) => cli(server, ['bundle', 'import', file])

async function expectImages(server: TestServer, source: TestServer, images: Manifest[]) {
  for (const { uuid, files } of images) {
    const [here, there] = [
      await call(server, 'GET', `/images/${uuid}`),
      await call(source, 'GET', `/images/${uuid}`),
    ]
    expect(here.body).toEqual(there.body)
    const file = await fetch(`${server.url}/images/${uuid}/file`)
    expect(sha1(new Uint8Array(await file.arrayBuffer()))).toBe(files[0]!.sha1)
  }
}

needsAll({ tar: 'tar', sha1sum: 'coreutils' })(
  'a bundle holds the manifests and files of images and their origins, origins first, as tar and imgadm take them',
  async () => {
    const { source, base, top, file, made } = await prepare()
    expect(made.stderr).toMatch(/^base-1\.0-[0-9a-f]{8}\.zfs: fetched, 195 KiB in /m)
    expect(made.stdout).toContain(`${file}: 2 images, ${statSync(file).size} bytes\n`)
    const folder = temporaryFolder()
    expect(await run('tar', ['xf', file], { cwd: folder })).toMatchObject({ code: 0, stderr: '' })
    const names = [`base-1.0-${base.uuid.slice(0, 8)}`, `top-image-2.0-b-${top.uuid.slice(0, 8)}`]
    expect((await run('tar', ['tf', file])).stdout.trim().split('\n')).toEqual([
      'README.txt',
      'SHA1SUMS',
      ...names.map(name => `${name}.imgmanifest`),
      ...names.map(name => `${name}.zfs`),
    ])
    for (const [index, { uuid }] of [base, top].entries()) {
      const manifest = JSON.parse(readFileSync(join(folder, `${names[index]}.imgmanifest`), 'utf8'))
      expect(manifest).toEqual((await call(source, 'GET', `/images/${uuid}`)).body)
      expect(sha1(readFileSync(join(folder, `${names[index]}.zfs`)))).toBe(manifest.files[0].sha1)
      // What `imgadm install` asks of a manifest.
      expect(validateMinimalManifest(manifest)).toBeNull()
    }
    const readme = readFileSync(join(folder, 'README.txt'), 'utf8')
    const commands = readme.split('\n').filter(line => /^ {2}(tar|imgadm) /.test(line))
    expect(commands).toEqual([
      '  tar xf images.tar',
      ...names.map(name => `  imgadm install -m ${name}.imgmanifest -f ${name}.zfs`),
    ])
    expect((await run('sha1sum', ['-c', 'SHA1SUMS'], { cwd: folder })).code).toBe(0)
    expect(existsSync(`${file}.partial`)).toBe(false)
  },
)

test('an import brings what is missing, passes over what is there, and is the same again', async () => {
  const { source, base, top, file, images } = await prepare()
  const server = await sharedTarget()
  const first = await done(importInto(server, file))
  expect(first.stdout).toBe(`imported: ${base.uuid} (base 1.0)\nimported: ${top.uuid} (top image 2.0/b)\n`)
  await expectImages(server, source, images)
  const second = await done(importInto(server, file))
  expect(second.stdout).toMatch(/^(already there and identical: .*\n){2}$/)
  const json = await done(cli(server, ['bundle', 'import', file, '--json']))
  expect(JSON.parse(json.stdout)).toEqual({
    file,
    images: [
      { uuid: base.uuid, name: 'base', version: '1.0', outcome: 'already there' },
      { uuid: top.uuid, name: 'top image', version: '2.0/b', outcome: 'already there' },
    ],
  })
})

test('a bundle that was interrupted and then killed goes on where it ended, to the same bytes', async () => {
  const [below, above] = [bytes(5_000_000), bytes(8_000_000)]
  const origin = remoteManifest(below, { name: 'below' })
  const image = remoteManifest(above, { name: 'above', origin: origin.uuid })
  let held = 1_000_000
  const source = await startSource(
    imgapi([origin, image], (request, response) => {
      const content = request.url!.includes(origin.uuid) ? below : above
      if (held === 0 || content === below) return sendContent(content, request, response)
      const from = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0)
      response.writeHead(from > 0 ? 206 : 200, { 'content-length': content.length - from })
      response.write(content.subarray(from, from + held))
    }),
  )
  const file = join(temporaryFolder(), 'images.tar')
  const partial = `${file}.partial`
  const args = ['bundle', 'create', file, image.uuid]
  const sizeOf = () => statSync(partial, { throwIfNoEntry: false })?.size ?? 0
  const first = startCli(source, args)
  await until('a part is there', () => sizeOf() > 5_500_000)
  first.signal('SIGINT')
  const { code, stderr } = await first.ended
  expect({ code, stderr }).toMatchObject({ code: 130, stderr: expect.stringContaining('interrupted') })
  const before = sizeOf()
  held = 3_000_000
  const second = startCli(source, args)
  await until('more is there', () => sizeOf() > before)
  second.signal('SIGKILL')
  await second.ended
  expect(existsSync(file)).toBe(false)
  held = 0
  await done(cli(source, args))
  const files = source.requests.filter(({ path }) => path.includes('/file'))
  // The origin was there after the first time.
  expect(files.filter(({ path }) => path.includes(origin.uuid))).toHaveLength(1)
  expect(files.at(-1)!.range).toMatch(/^bytes=[1-9]\d*-$/)
  const fresh = join(temporaryFolder(), 'images.tar')
  await done(cli(source, ['bundle', 'create', fresh, image.uuid]))
  expect(readFileSync(file).equals(readFileSync(fresh))).toBe(true)
})

test('what was left of another bundle, or was torn, does not get into this one', async () => {
  const { source, base, top, file } = await prepare()
  const good = readFileSync(file)
  const torn = Buffer.from(good.subarray(0, 150_000))
  torn[100_000]! ^= 1
  for (const left of [torn, bytes(50_000), good]) {
    writeFileSync(`${file}.partial`, left)
    await done(cli(source, ['bundle', 'create', file, top.uuid]))
    expect(readFileSync(file).equals(good)).toBe(true)
  }
  writeFileSync(`${file}.partial`, good)
  await done(cli(source, ['bundle', 'create', file, base.uuid]))
  expect(readFileSync(file).includes('top-image')).toBe(false)
})

test('an import that was killed in the middle goes on when it is run again', async () => {
  const { source, base, top, file, images } = await prepare()
  const server = await sharedTarget()
  const gate = await startGate(server)
  for (const [index, { uuid }] of [base, top].entries()) {
    const running = startCli(gate, ['bundle', 'import', file])
    await until('the upload has begun', () => gate.waiting() === 1)
    running.signal('SIGKILL')
    await running.ended
    await until('it is gone', () => gate.waiting() === 0)
    expect((await call(server, 'GET', `/images/${uuid}`)).body.state).toBe('unactivated')
    if (index === 0) gate.open(1)
  }
  gate.open(1)
  const again = await done(importInto(gate, file))
  expect(again.stdout).toBe(
    `already there and identical: ${base.uuid} (base 1.0)\ncompleted: ${top.uuid} (top image 2.0/b)\n`,
  )
  await expectImages(server, source, images)
})

test('a bundle in which a bit has changed is refused by name, and the image does not appear', async () => {
  const { base, file } = await prepare()
  const broken = `${file}.broken`
  const content = readFileSync(file)
  content[100_000]! ^= 1
  writeFileSync(broken, content)
  const server = await sharedTarget()
  const refused = await importInto(server, broken)
  expect(refused).toMatchObject({ code: 1, stdout: '' })
  expect(refused.stderr).toMatch(
    /^imgapi: .*: the bundle is damaged: base-1\.0-.*\.zfs has SHA-1 [0-9a-f]{40}, not [0-9a-f]{40}$/m,
  )
  expect((await call(server, 'GET', `/images/${base.uuid}`)).status).toBe(404)
  await done(importInto(server, file))
  // The damage is seen too where the image is there already.
  expect(await importInto(server, broken)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('is damaged'),
  })
})

test('a bundle that is cut short brings what is whole in it and says that it is cut', async () => {
  const { base, top, file } = await prepare()
  const server = await startServer()
  const content = readFileSync(file)
  const secondHeader = content.lastIndexOf(`top-image-2.0-b-${top.uuid.slice(0, 8)}.zfs`)
  const cases = [
    { length: 100_000, message: 'truncated', active: 0 },
    { length: secondHeader, message: 'truncated', active: 1 },
    // A tar ends with two blocks of nothing.
    { length: content.length - 1024 - 2500, message: 'truncated', active: 1 },
  ]
  for (const { length, message, active } of cases) {
    const cut = `${file}.${length}`
    copyFileSync(file, cut)
    truncateSync(cut, length)
    const refused = await importInto(server, cut)
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining(message) })
    expect((await call(server, 'GET', '/images')).body).toHaveLength(active)
  }
  await done(importInto(server, file))
  const states = (await call(server, 'GET', '/images?state=all')).body.map(({ uuid }: Manifest) => uuid)
  expect(states.sort()).toEqual([base.uuid, top.uuid].sort())
  writeFileSync(`${file}.no`, bytes(2000))
  expect(await importInto(server, `${file}.no`)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('not a tar file'),
  })
})

test('an image that is there with other files is an error, and stays', async () => {
  const { base, file } = await prepare()
  const server = await sharedTarget()
  await call(server, 'POST', `/images/${base.uuid}?action=import`, { body: base })
  await addFile(server, base.uuid, bytes(50))
  await call(server, 'POST', `/images/${base.uuid}?action=activate`)
  const refused = await importInto(server, file)
  expect(refused).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('with another file than in the bundle'),
  })
  expect((await call(server, 'GET', `/images/${base.uuid}`)).body.files[0].size).toBe(50)
})

test('a file that is not what its manifest says makes no bundle', async () => {
  const source = await sharedSource()
  const { uuid } = await publish(source, bytes(1000))
  const folder = join(source.datadir, uuid)
  const name = namesIn(folder).find(candidate => candidate.startsWith('image'))!
  writeFileSync(join(folder, name), bytes(1000))
  const file = join(temporaryFolder(), 'images.tar')
  const made = await cli(source, ['bundle', 'create', file, uuid])
  expect(made).toMatchObject({
    code: 1,
    stderr: expect.stringContaining(`a file of image ${uuid} with SHA-1`),
  })
  expect(existsSync(file)).toBe(false)
})

test('mistakes are told, each with its exit code, and no password is', async () => {
  const server = await startServer()
  const { uuid } = await publish(server)
  const unfinished = await create(server)
  const file = join(temporaryFolder(), 'images.tar')
  const bundle = (...words: string[]) => cli(server, ['bundle', ...words])
  const stderrOf = (text: string) => expect.stringContaining(text)
  expect(await bundle('create', file, unfinished.uuid)).toMatchObject({
    code: 1,
    stderr: stderrOf('is not activated'),
  })
  const unknown = await bundle('create', file, '00000000-0000-4000-8000-000000000000')
  expect(unknown).toMatchObject({ code: 3, stderr: stderrOf('has no image 00000000') })
  expect(unknown.stderr).not.toContain('correct')
  expect(await bundle('create', file)).toMatchObject({ code: 2, stderr: stderrOf('at least one image') })
  expect((await bundle('create', file, 'base-64')).code).toBe(2)
  expect(await bundle('mend', file)).toMatchObject({ code: 2, stderr: stderrOf('expected create or import') })
  expect((await bundle('import', file, uuid)).code).toBe(2)
  expect(await bundle('import', `${file}.none`)).toMatchObject({ code: 1, stderr: stderrOf('ENOENT') })
  const { stderr } = await bundle('import', file, '-u', 'http://127.0.0.1:1')
  expect(stderr).not.toContain('correct')
})

needs('script', 'bsdutils')('on a terminal there is a bar for each file, of both commands', async () => {
  const { file, top, source } = await prepare()
  const server = await sharedTarget()
  const onTerminal = async (to: { url: string }, ...words: string[]) => {
    const command = [process.execPath, PROGRAM, 'bundle', ...words].join(' ')
    const env = { ...credentials(to), TERM: 'xterm' }
    const { code, stdout } = await run('script', ['-qec', `stty cols 90; ${command}`, '/dev/null'], { env })
    expect(code, stdout).toBe(0)
    return stdout
  }
  const created = await onTerminal(source, 'create', `${file}.2`, top.uuid)
  expect(created).toMatch(/base-1\.0-[^\r\n]* \[={20}\] fetched, 195 KiB/)
  expect(created).toMatch(/top-image-2[^\r\n]* \[={20}\] fetched, 2\.93 KiB/)
  const imported = await onTerminal(server, 'import', `${file}.2`)
  expect(imported).toMatch(/base-1\.0-[^\r\n]* \[={20}\] done, 195 KiB/)
  expect(imported).toContain(`imported: ${top.uuid}`)
})
