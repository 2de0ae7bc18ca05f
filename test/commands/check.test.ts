import { appendFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bytes, call, create, uuid as newUuid, publish } from '../support/api.ts'
import { namesIn, treeOf } from '../support/folders.ts'
import { runProgram } from '../support/program.ts'
import { startServer, type TestServer, temporaryFolder } from '../support/server.ts'

let template: { folder: string; origin: string; image: string }

beforeAll(async () => {
  const server = await startServer({ keep: true })
  const { uuid: origin } = await publish(server, bytes(2000))
  const { uuid: image } = await publish(server, bytes(1_500_000), { origin })
  const headers = { 'content-type': 'image/png' }
  await call(server, 'PUT', `/images/${origin}/icon`, { headers, body: bytes(300) })
  await create(server)
  await server.stop()
  template = { folder: server.folder, origin, image }
})

afterAll(() => rmSync(template.folder, { recursive: true }))

/** A data directory with three images: an origin with an icon, one made from it, and one without a file. */
function prepare() {
  const folder = temporaryFolder()
  cpSync(template.folder, folder, { recursive: true })
  const datadir = join(folder, 'data')
  const fileOf = (uuid: string, kind: string) =>
    join(datadir, uuid, namesIn(join(datadir, uuid)).find(name => name.startsWith(kind))!)
  const server = { folder, datadir, configPath: join(folder, 'config.json') }
  const manifestOf = (uuid: string) => join(datadir, uuid, 'manifest.json')
  return { server, origin: { uuid: template.origin }, image: { uuid: template.image }, fileOf, manifestOf }
}

type Prepared = ReturnType<typeof prepare>

const check = ({ configPath }: Pick<TestServer, 'configPath'>, ...flags: string[]) =>
  runProgram('check', '-c', configPath, ...flags)

function edit(path: string, changes: Record<string, unknown>) {
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), ...changes }))
}

test('a clean data directory is found clean: exit code 0, in words and as JSON', async () => {
  const { server } = prepare()
  const before = treeOf(server.datadir)
  const shown = await check(server)
  expect(shown).toMatchObject({ code: 0, stderr: '' })
  expect(shown.stdout).toBe('3 images, 1502300 bytes of files read: no problem found\n')
  const json = await check(server, '--json')
  expect(JSON.parse(json.stdout)).toEqual({ images: 3, bytes: 1_502_300, problems: [] })
  expect(json.code).toBe(0)
  expect((await check(server, '--repair')).stdout).toBe(shown.stdout)
  expect(treeOf(server.datadir, { except: ['.lock'] })).toEqual(withoutLock(before))
})

const withoutLock = (tree: Record<string, string>) =>
  Object.fromEntries(Object.entries(tree).filter(([path]) => !path.startsWith('.lock')))

type Harm = (prepared: Prepared) => string

const HARMS: [name: string, kind: string, message: RegExp, harm: Harm][] = [
  [
    'a manifest that cannot be read',
    'manifest',
    /cannot be read/,
    ({ image, manifestOf }) => {
      writeFileSync(manifestOf(image.uuid), '{"v": 2,')
      return image.uuid
    },
  ],
  [
    'a field that is not valid',
    'manifest',
    /^name: image name has invalid characters/,
    ({ image, manifestOf }) => {
      edit(manifestOf(image.uuid), { name: 'no: such $name' })
      return image.uuid
    },
  ],
  [
    'requirements that are not valid',
    'manifest',
    /^requirements/,
    ({ image, manifestOf }) => {
      edit(manifestOf(image.uuid), { requirements: { min_platform: 5 } })
      return image.uuid
    },
  ],
  [
    'a file that is missing',
    'file',
    /^image-.*: missing$/,
    ({ image, fileOf }) => {
      rmSync(fileOf(image.uuid, 'image'))
      return image.uuid
    },
  ],
  [
    'a file that is too long',
    'file',
    /^image-.*: has 1500001 bytes, not 1500000$/,
    ({ image, fileOf }) => {
      appendFileSync(fileOf(image.uuid, 'image'), 'x')
      return image.uuid
    },
  ],
  [
    'a file in which a bit has changed',
    'file',
    /^image-.*: has sha1 [0-9a-f]{40}, not [0-9a-f]{40}$/,
    ({ image, fileOf }) => {
      const path = fileOf(image.uuid, 'image')
      const content = readFileSync(path)
      content[1_000_000]! ^= 1
      writeFileSync(path, content)
      return image.uuid
    },
  ],
  [
    'a file that cannot be read',
    'file',
    /^image-.*: is a directory, not a file/,
    ({ image, fileOf }) => {
      const path = fileOf(image.uuid, 'image')
      rmSync(path)
      mkdirSync(path)
      return image.uuid
    },
  ],
  [
    'an icon in which a bit has changed',
    'file',
    /^icon-.*: has sha1/,
    ({ origin, fileOf }) => {
      writeFileSync(fileOf(origin.uuid, 'icon'), bytes(300))
      return origin.uuid
    },
  ],
  [
    'an origin that is missing',
    'origin',
    /^its origin .* does not exist$/,
    ({ server, origin, image }) => {
      rmSync(join(server.datadir, origin.uuid), { recursive: true })
      return image.uuid
    },
  ],
  [
    'a folder that is no image',
    'orphan',
    /^a folder without manifest\.json$/,
    ({ server }) => {
      const uuid = newUuid()
      mkdirSync(join(server.datadir, uuid))
      writeFileSync(join(server.datadir, uuid, 'image.gz'), 'something')
      return uuid
    },
  ],
  [
    'a file in the place of an image',
    'orphan',
    /^not an image$/,
    ({ server }) => {
      const uuid = newUuid()
      writeFileSync(join(server.datadir, uuid), 'something')
      return uuid
    },
  ],
  [
    'a file that no manifest mentions',
    'orphan',
    /^notes\.txt: the manifest does not mention this file$/,
    ({ server, image }) => {
      writeFileSync(join(server.datadir, image.uuid, 'notes.txt'), 'something')
      return image.uuid
    },
  ],
  [
    'something else in the data directory',
    'orphan',
    /^not an image$/,
    ({ server }) => {
      writeFileSync(join(server.datadir, 'notes.txt'), 'something')
      return 'notes.txt'
    },
  ],
]

test.each(HARMS)('%s is found, exit code 1, and nothing is changed', async (_, kind, message, harm) => {
  const prepared = prepare()
  const { server } = prepared
  const subject = harm(prepared)
  const before = treeOf(server.datadir)
  const [json, shown] = await Promise.all([check(server, '--json'), check(server)])
  const { problems } = JSON.parse(json.stdout)
  expect(problems).toEqual([{ subject, kind, message: expect.stringMatching(message) }])
  expect(shown.stdout).toMatch(/^SUBJECT +KIND +PROBLEM\n/)
  expect(shown.stdout).toContain(`${subject}  ${kind}`)
  expect(shown.stdout).toContain(problems[0].message)
  expect(shown.stdout).toMatch(/1 problem\(s\) found\n$/)
  expect([json.code, shown.code]).toEqual([1, 1])
  expect(treeOf(server.datadir)).toEqual(before)
})

/** Every file below, without the folders' names: what there is, wherever it is. */
const contents = (tree: Record<string, string>) =>
  Object.values(tree)
    .map(entry => entry.split(' ')[1]!)
    .filter(digest => digest !== 'folder')
    .sort()

test('--repair moves aside what nothing needs, deletes nothing and leaves the rest', async () => {
  const prepared = prepare()
  const { server, origin, image, manifestOf } = prepared
  const orphan = newUuid()
  mkdirSync(join(server.datadir, orphan))
  writeFileSync(join(server.datadir, orphan, 'image.gz'), 'something')
  writeFileSync(join(server.datadir, image.uuid, 'notes.txt'), 'my notes')
  writeFileSync(join(server.datadir, 'other.txt'), 'others')
  const before = contents(withoutLock(treeOf(server.datadir)))
  const repaired = await check(server, '--repair', '--json')
  const { problems, movedTo } = JSON.parse(repaired.stdout)
  expect(repaired.code).toBe(0)
  expect(problems).toHaveLength(3)
  for (const problem of problems) expect(problem.repaired).toBe(true)
  expect(movedTo.startsWith(join(server.datadir, '.quarantine'))).toBe(true)
  expect(existsSync(join(movedTo, orphan, 'image.gz'))).toBe(true)
  expect(readFileSync(join(movedTo, image.uuid, 'notes.txt'), 'utf8')).toBe('my notes')
  expect(readFileSync(join(movedTo, 'other.txt'), 'utf8')).toBe('others')
  expect(contents(withoutLock(treeOf(server.datadir)))).toEqual(before)
  expect((await check(server)).code).toBe(0)

  // What it cannot repair it says, and what another image is made from is as broken as before.
  writeFileSync(manifestOf(origin.uuid), '')
  const again = await check(server, '--repair')
  expect(again.stdout).toContain('moved unused files to')
  const after = await check(server)
  expect(after.code).toBe(1)
  expect(after.stdout).toMatch(/origin +its origin/)
  const restarted = await startServer({ folder: server.folder })
  expect((await call(restarted, 'GET', `/images/${image.uuid}/file`)).status).toBe(200)
})

test('--repair says with exit code 1 what remains', async () => {
  const prepared = prepare()
  const { server, image, fileOf } = prepared
  rmSync(fileOf(image.uuid, 'image'))
  const before = withoutLock(treeOf(server.datadir))
  const { code, stdout } = await check(server, '--repair')
  expect(code).toBe(1)
  expect(stdout).toContain('missing')
  expect(withoutLock(treeOf(server.datadir))).toEqual(before)
})

test('while a server runs check looks, and --repair refuses and says which process it is', async () => {
  const server = await startServer()
  const { uuid } = await publish(server)
  writeFileSync(join(server.datadir, 'notes.txt'), 'something')
  const repair = await check(server, '--repair')
  expect(repair.code).toBe(1)
  expect(repair.stderr).toContain(`process ${server.pid}`)
  expect(namesIn(server.datadir)).toContain('notes.txt')
  const looked = await check(server)
  expect(looked.code).toBe(1)
  expect(looked.stdout).toContain('notes.txt')
  rmSync(join(server.datadir, 'notes.txt'))
  expect((await check(server)).code).toBe(0)
  expect((await call(server, 'GET', `/images/${uuid}/file`)).status).toBe(200)
  await server.kill()
  expect((await check(server, '--repair')).code).toBe(0)
})

test('while a server runs, what is unused only for a moment is no problem, and what stays is one', async () => {
  const server = await startServer()
  const { uuid } = await publish(server)
  const arriving = join(server.datadir, uuid, 'image-01234567.zfs')
  const [made, stays] = [newUuid(), newUuid()].map(name => join(server.datadir, name)) as [string, string]
  writeFileSync(arriving, 'its manifest follows')
  for (const folder of [made, stays]) mkdirSync(folder)
  const checking = check(server, '--json')
  // More than two looks, and long before a file counts as unused.
  await pause(2000)
  rmSync(arriving)
  rmSync(made, { recursive: true })
  const { problems } = JSON.parse((await checking).stdout)
  expect(problems).toEqual([expect.objectContaining({ subject: basename(stays), kind: 'orphan' })])
})

test('check of a data directory that is not there says so and makes none', async () => {
  const server = await startServer()
  await server.stop()
  rmSync(server.datadir, { recursive: true })
  const { code, stderr } = await check(server)
  expect(code).toBe(1)
  expect(stderr).toContain('no such directory')
  expect(existsSync(server.datadir)).toBe(false)
})
