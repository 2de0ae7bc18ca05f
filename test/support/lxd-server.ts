import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { request as tlsRequest } from 'node:https'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import { PATIENCE } from './patience.ts'
import { run } from './run.ts'
import type { LxdFile } from './simplestreams.ts'
import { startSource } from './source.ts'

/** The real server of LXD, with its state in a folder of its own. It runs nothing; it stores and serves images. */

export interface LxdServer {
  url: string
  /** File with its certificate. */
  ca: string
  /** Its own client; what it prints. */
  lxc(...args: string[]): Promise<string>
  /** Stores an image, and returns its fingerprint. */
  add(files: readonly LxdFile[], options?: AddOptions): Promise<string>
  stop(): Promise<void>
}

export interface AddOptions {
  alias?: string
  isPublic?: boolean
}

export async function startLxdServer(): Promise<LxdServer> {
  const folder = mkdtempSync(join(tmpdir(), 'imgapi-test-'))
  // It would look for news on the Internet.
  const proxy = { HTTPS_PROXY: 'http://127.0.0.1:1', HTTP_PROXY: 'http://127.0.0.1:1' }
  const child = spawn('lxd', [], { env: { ...process.env, ...proxy, LXD_DIR: folder }, stdio: 'ignore' })
  const client = join(folder, 'client')
  const lxcRun = (args: string[]) => run('lxc', args, { env: { LXD_DIR: folder, LXD_CONF: client } })
  const lxc = async (...args: string[]) => {
    const { code, stdout, stderr } = await lxcRun(args)
    expect(code, `lxc ${args.join(' ')}: ${stderr}`).toBe(0)
    return stdout
  }
  const stop = () => stopServer(child, folder)
  try {
    const ready = await run('lxd', ['waitready', `--timeout=${PATIENCE / 1000}`], {
      env: { LXD_DIR: folder },
      timeout: PATIENCE + 10_000,
    })
    expect(ready.code, ready.stderr).toBe(0)
    const address = `127.0.0.1:${await freePort()}`
    await lxc('config', 'set', 'core.https_address', address)
    return { url: `https://${address}`, ca: join(folder, 'server.crt'), lxc, add, stop }
  } catch (error) {
    await stop()
    throw error
  }

  async function add(files: readonly LxdFile[], { alias, isPublic = true }: AddOptions = {}) {
    const here = mkdtempSync(join(folder, 'add-'))
    const paths = files.map(({ name, content }) => {
      writeFileSync(join(here, name), content)
      return join(here, name)
    })
    const flags = [...(alias ? ['--alias', alias] : []), ...(isPublic ? ['--public'] : [])]
    const said = await lxc('image', 'import', ...paths, ...flags)
    return /fingerprint: (\w{64})/.exec(said)![1]!
  }
}

async function stopServer(child: ChildProcess, folder: string) {
  if (child.exitCode === null && child.signalCode === null) {
    const exited = new Promise(resolve => child.once('exit', resolve))
    child.kill('SIGTERM')
    await Promise.race([exited, sleep(20_000, undefined, { ref: false })])
    child.kill('SIGKILL')
  }
  // What it mounts for containers is gone, unless it had to be killed.
  const mounted = readFileSync('/proc/self/mounts', 'utf8').split('\n')
  for (const [, place] of mounted.map(line => line.split(' '))) {
    if (place?.startsWith(`${folder}/`)) await run('umount', ['-l', place])
  }
  rmSync(folder, { recursive: true, force: true })
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise(resolve => server.close(resolve))
  return port
}

/** True: it has taken care of the answer. */
export type Intercept = (request: IncomingMessage, response: ServerResponse) => boolean

/** A front of the server that passes all on, besides what a test does differently. */
export function startFront({ url }: LxdServer, intercept: Intercept = () => false) {
  return startSource((request, response) => {
    if (!intercept(request, response)) forward(url, request, response)
  })
}

/** `change`: what becomes of each piece of the body; undefined ends the connection. */
export function forward(
  url: string,
  request: IncomingMessage,
  response: ServerResponse,
  change: (chunk: Buffer) => Buffer | undefined = chunk => chunk,
) {
  const headers = { ...request.headers, host: new URL(url).host }
  const outgoing = tlsRequest(new URL(request.url!, url), { headers, rejectUnauthorized: false })
  outgoing.on('error', () => response.destroy())
  outgoing.on('response', answer => {
    response.writeHead(answer.statusCode!, answer.headers)
    answer.on('data', chunk => {
      const changed = change(chunk)
      if (!changed) {
        // The bytes before it arrive, and then the connection is gone.
        answer.destroy()
        response.write('', () => response.destroy())
      } else if (!response.write(changed)) {
        answer.pause()
        response.once('drain', () => answer.resume())
      }
    })
    answer.on('end', () => response.end())
    answer.on('error', () => response.destroy())
  })
  response.on('close', () => outgoing.destroy())
  outgoing.end()
}

/** Passes on an answer that is text, with other text in it. */
export function forwardChanged(
  url: string,
  request: IncomingMessage,
  response: ServerResponse,
  change: (text: string) => string,
) {
  const outgoing = tlsRequest(new URL(request.url!, url), { rejectUnauthorized: false }, async answer => {
    const chunks: Buffer[] = []
    for await (const chunk of answer) chunks.push(chunk)
    response.writeHead(answer.statusCode!, { 'content-type': 'application/json' })
    response.end(change(Buffer.concat(chunks).toString()))
  })
  outgoing.on('error', () => response.destroy())
  outgoing.end()
}
