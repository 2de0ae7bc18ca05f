import { spawn } from 'node:child_process'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { bytes, publish, uuid } from '../support/api.ts'
import { cli, credentials, done } from '../support/cli.ts'
import { needs } from '../support/programs.ts'
import { run } from '../support/run.ts'
import { PROGRAM, startServer, temporaryFolder } from '../support/server.ts'
import { shared } from '../support/shared-server.ts'
import { imgapi, remoteManifest, sendContent, sendPart, startSource } from '../support/source.ts'
import { until } from '../support/until.ts'

/** Files on their way here: whole and right, whatever happens in between. */

const sharedServer = shared(startServer)

test('get-file fetches under the name of imgadm, and again finds it identical', async () => {
  const server = await sharedServer()
  const content = bytes(100_000)
  const image = await publish(server, content, { name: 'a/b c' })
  const cwd = temporaryFolder()
  await done(cli(server, ['get-file', image.uuid], { cwd }))
  expect(readFileSync(join(cwd, 'a_b_c-1.0.0.zfs')).equals(content)).toBe(true)
  const again = await done(cli(server, ['get-file', image.uuid], { cwd }))
  expect(again.stdout).toContain('already there and identical')
  writeFileSync(join(cwd, 'a_b_c-1.0.0.zfs'), 'mine')
  expect(await cli(server, ['get-file', image.uuid], { cwd })).toMatchObject({ code: 1 })
  expect(readFileSync(join(cwd, 'a_b_c-1.0.0.zfs'), 'utf8')).toBe('mine')
  await done(cli(server, ['get-file', '--force', image.uuid], { cwd }))
  expect(readFileSync(join(cwd, 'a_b_c-1.0.0.zfs')).equals(content)).toBe(true)
})

test('several are fetched into a folder at once', async () => {
  const server = await sharedServer()
  const one = await publish(server, Buffer.from('one'), { name: 'one' })
  const two = await publish(server, Buffer.from('two'), { name: 'two' })
  const folder = join(temporaryFolder(), 'new')
  await done(cli(server, ['get-file', one.uuid, two.uuid, '-o', folder]))
  expect(readFileSync(join(folder, 'one-1.0.0.zfs'), 'utf8')).toBe('one')
  expect(readFileSync(join(folder, 'two-1.0.0.zfs'), 'utf8')).toBe('two')
})

test.each(['SIGINT', 'SIGKILL'] as const)(
  'a fetch that %s ends is gone on with, byte for byte',
  async signal => {
    const content = bytes(3_000_000)
    const manifest = remoteManifest(content)
    let isSlow = true
    const source = await startSource(
      imgapi([manifest], (request, response) => {
        if (!isSlow) return sendContent(content, request, response)
        // The rest never comes.
        response.writeHead(200, { 'content-length': content.length })
        response.write(content.subarray(0, 1_000_000))
      }),
    )
    const folder = temporaryFolder()
    const path = join(folder, 'file')
    const args = [PROGRAM, 'get-file', '-q', manifest.uuid, '-o', path]
    const child = spawn(process.execPath, args, { env: { ...process.env, ...credentials(source) } })
    const ended = new Promise<number | null>(resolve => child.on('close', resolve))
    const partial = `${path}.partial`
    await until(
      'the first bytes',
      () => (statSync(partial, { throwIfNoEntry: false })?.size ?? 0) === 1_000_000,
    )
    child.kill(signal)
    const code = await ended
    if (signal === 'SIGINT') expect(code).toBe(130)
    expect(existsSync(path)).toBe(false)
    isSlow = false
    await done(cli(source, ['get-file', '-q', manifest.uuid, '-o', path]))
    expect(source.requests.at(-1)).toMatchObject({ range: 'bytes=1000000-' })
    expect(readFileSync(path).equals(content)).toBe(true)
    expect(existsSync(partial)).toBe(false)
  },
)

test('a connection that breaks is taken up again within one run', async () => {
  const content = bytes(300_000)
  const manifest = remoteManifest(content)
  const source = await startSource(
    imgapi([manifest], (request, response) => sendPart(content, 100_000, request, response)),
  )
  const path = join(temporaryFolder(), 'file')
  await done(cli(source, ['get-file', manifest.uuid, '-o', path]))
  expect(readFileSync(path).equals(content)).toBe(true)
})

test('a partial file of something else is fetched anew, and wrong bytes are never kept', async () => {
  const server = await sharedServer()
  const content = bytes(50_000)
  const image = await publish(server, content)
  const folder = temporaryFolder()
  const path = join(folder, 'file')
  writeFileSync(`${path}.partial`, bytes(20_000))
  await done(cli(server, ['get-file', image.uuid, '-o', path]))
  expect(readFileSync(path).equals(content)).toBe(true)
  const manifest = remoteManifest(content)
  const liar = await startSource(
    imgapi([manifest], (request, response) => sendContent(bytes(50_000), request, response)),
  )
  const wrong = join(folder, 'wrong')
  const { code, stderr } = await cli(liar, ['get-file', '-q', manifest.uuid, '-o', wrong])
  expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('the manifest says') })
  expect([existsSync(wrong), existsSync(`${wrong}.partial`)]).toEqual([false, false])
})

test('a server that sends more than the file is not believed, and does not fill the disk', async () => {
  const content = bytes(1000)
  const manifest = remoteManifest(content)
  const source = await startSource(
    imgapi([manifest], (_request, response) => {
      response.writeHead(200)
      response.end(bytes(5_000_000))
    }),
  )
  const path = join(temporaryFolder(), 'file')
  expect((await cli(source, ['get-file', '-q', manifest.uuid, '-o', path])).code).toBe(1)
  expect([existsSync(path), existsSync(`${path}.partial`)]).toEqual([false, false])
})

test('an image that is not there is exit code 3', async () => {
  const server = await sharedServer()
  expect((await cli(server, ['get-file', uuid()])).code).toBe(3)
})

test('progress is on stderr: a line at the end where it is no terminal, nothing with -q', async () => {
  const server = await startServer()
  const image = await publish(server, bytes(100_000))
  const folder = server.folder
  const loud = await done(cli(server, ['get-file', image.uuid, '-o', join(folder, 'loud')]))
  expect(loud.stderr).toMatch(/^\S+loud: fetched, 97\.7 KiB in [\d.]+ s(, \S+ \S+)?\n$/)
  const quiet = await done(cli(server, ['get-file', '-q', image.uuid, '-o', join(folder, 'quiet')]))
  expect(quiet).toEqual({ code: 0, stdout: '', stderr: '' })
})

const withScript = needs('script', 'bsdutils')

withScript(
  'on a terminal there is a bar for each transfer, in its width, and the cursor comes back',
  async () => {
    const server = await startServer()
    const one = await publish(server, bytes(200_000), { name: 'one' })
    const two = await publish(server, bytes(200_000), { name: 'two' })
    const command = `stty cols 90; ${process.execPath} ${PROGRAM} get-file ${one.uuid} ${two.uuid} -o .`
    const env = { ...credentials(server), TERM: 'xterm' }
    const { code, stdout } = await run('script', ['-qec', command, '/dev/null'], { cwd: server.folder, env })
    expect(code).toBe(0)
    expect(stdout).toContain('one-1.0.0.zfs')
    expect(stdout).toContain('two-1.0.0.zfs')
    expect(stdout).toMatch(/\[={20}\] fetched, 195 KiB/)
    expect(stdout.lastIndexOf('\u001b[?25h')).toBeGreaterThan(stdout.lastIndexOf('\u001b[?25l'))
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is looked for
    const bare = stdout.replace(/\u001b\[[0-9;?]*[A-Za-z]|\u001b[78]/g, '\n')
    for (const line of bare.split(/[\r\n]+/)) {
      if (line.includes('KiB')) expect(line.length).toBeLessThanOrEqual(90)
    }
  },
)
