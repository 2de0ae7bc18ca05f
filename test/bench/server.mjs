import { randomBytes, scryptSync } from 'node:crypto'
import { openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { sleep } from './measure.mjs'
import { start, stop } from './processes.mjs'

/** The server as it runs in production: the built program, a user with a hashed password, its log in a file. */

const PROGRAM = new URL('../../dist/imgapi.js', import.meta.url).pathname

const USER = 'admin'
const PASSWORD = randomBytes(9).toString('hex')
export const AUTHORIZATION = `Basic ${Buffer.from(`${USER}:${PASSWORD}`).toString('base64')}`

/** As `imgapi passwd` prints it. */
function hashOf(password) {
  const salt = randomBytes(16)
  const hash = scryptSync(password, salt, 32, { N: 2 ** 15, r: 8, p: 3, maxmem: 2 ** 27 })
  const text = bytes => bytes.toString('base64').replace(/=+$/, '')
  return `$scrypt$ln=15,r=8,p=3$${text(salt)}$${text(hash)}`
}
const HASH = hashOf(PASSWORD)

let servers = 0

/**
 * Starts it on a data directory and resolves when it listens. `profile`: folder for a CPU profile of it; `settings`:
 * more of the config.
 */
export async function startServer(folder, datadir, { profile, settings } = {}) {
  const id = ++servers
  const config = join(folder, `config-${id}.json`)
  const log = join(folder, `server-${id}.log`)
  const userdb = [{ name: USER, password: HASH }]
  writeFileSync(config, JSON.stringify({ datadir, port: 0, host: '127.0.0.1', userdb, ...settings }))
  const begun = performance.now()
  const profiling = profile ? ['--cpu-prof', '--cpu-prof-dir', profile] : []
  const child = start(process.execPath, [...profiling, PROGRAM, '-s', '-c', config], {
    stdio: ['ignore', openSync(log, 'w'), 'inherit'],
  })
  const port = await listeningPort(child, log)
  return {
    port,
    pid: child.pid,
    url: `http://127.0.0.1:${port}`,
    startSeconds: (performance.now() - begun) / 1000,
    // A profile is written by a server that ends in good order.
    stop: () => stop(child, profile ? 'SIGTERM' : 'SIGKILL'),
  }
}

async function listeningPort(child, log) {
  for (;;) {
    const line = readFileSync(log, 'utf8')
      .split('\n')
      .slice(0, -1)
      .find(text => text.includes('"port":'))
    if (line) return JSON.parse(line).port
    if (child.exitCode !== null) throw new Error(`the server ended: ${readFileSync(log, 'utf8')}`)
    await sleep(0.002)
  }
}

/** The body of an answer; throws unless it is a good one. */
export async function fetchBytes(url, options) {
  const response = await fetch(url, options)
  const bytes = Buffer.from(await response.arrayBuffer())
  if (!response.ok) throw new Error(`${url}: ${response.status} ${bytes}`)
  return bytes
}
