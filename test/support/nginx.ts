import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { PATIENCE } from './patience.ts'
import { temporaryFolder } from './server.ts'

/** A real nginx in front of a server, set up as the example config says; only its addresses are the test's. */

const EXAMPLE = new URL('../../support-files/nginx-accel.conf', import.meta.url).pathname

// nginx is where only root's PATH leads.
const PATH = `${process.env.PATH}:/usr/local/sbin:/usr/sbin:/sbin:/opt/local/sbin`

export const hasNginx = spawnSync('nginx', ['-v'], { env: { PATH } }).status === 0

const freePort = () =>
  new Promise<number>((resolve, reject) => {
    const server = createServer().on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })

const isReachable = (port: number) =>
  new Promise<boolean>(resolve => {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => resolve(false))
    socket.on('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })

/** Replaces what must be there to be replaced. */
function fill(text: string, replacements: Record<string, string>): string {
  return Object.entries(replacements).reduce((filled, [from, to]) => {
    if (!filled.includes(from)) throw new Error(`the example config has no "${from}"`)
    return filled.replace(from, to)
  }, text)
}

/** Resolves to its URL when it answers; it ends with the test. */
export async function startNginx(backend: { port: number; datadir: string }): Promise<{ url: string }> {
  const folder = temporaryFolder()
  const port = await freePort()
  const site = fill(readFileSync(EXAMPLE, 'utf8'), {
    'listen 80;': `listen 127.0.0.1:${port};`,
    'server 127.0.0.1:8080;': `server 127.0.0.1:${backend.port};`,
    'alias /var/imgapi/;': `alias ${backend.datadir}/;`,
  })
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(name => {
    mkdirSync(join(folder, name))
    return `${name}_temp_path ${folder}/${name};`
  })
  const path = join(folder, 'nginx.conf')
  writeFileSync(
    path,
    `${process.getuid?.() === 0 ? 'user root;' : ''}
daemon off; worker_processes 1; pid ${folder}/pid; error_log ${folder}/error.log;
events {} http { access_log off; ${temporary.join(' ')} ${site} }`,
  )
  const child = spawn('nginx', ['-e', join(folder, 'error.log'), '-c', path], {
    env: { PATH },
    stdio: 'ignore',
  })
  const ended = new Promise<void>(resolve => child.on('exit', () => resolve()))
  onTestFinished(async () => {
    child.kill('SIGTERM')
    await ended
  })
  await answers(child, port, folder)
  return { url: `http://127.0.0.1:${port}` }
}

async function answers(child: ChildProcess, port: number, folder: string) {
  for (const deadline = Date.now() + PATIENCE; !(await isReachable(port)); ) {
    if (child.exitCode !== null || Date.now() > deadline) {
      throw new Error(`nginx does not run: ${readFileSync(join(folder, 'error.log'), 'utf8')}`)
    }
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}
