import { spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import { bytes, call, create, sha1 } from '../support/api.ts'
import { makeSelfSigned } from '../support/certificate.ts'
import { needsAll } from '../support/programs.ts'
import { eventually, run } from '../support/run.ts'
import { startServer, temporaryFolder } from '../support/server.ts'

const EXAMPLE = readFileSync(new URL('../../support-files/nginx.conf', import.meta.url), 'utf8')

const test = needsAll({ nginx: 'nginx-light', openssl: 'openssl', curl: 'curl' })

const freePort = () =>
  new Promise<number>(resolve => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number }
      probe.close(() => resolve(port))
    })
  })

/** A real nginx with the example, on ports and with a certificate of this test. */
async function startProxy(upstream: number) {
  const folder = temporaryFolder()
  const [http, https] = [await freePort(), await freePort()]
  const [cert, key] = [join(folder, 'fullchain.pem'), join(folder, 'privkey.pem')]
  makeSelfSigned({ cert, key })
  const site = EXAMPLE.replace('listen 80;', `listen 127.0.0.1:${http};`)
    .replace('listen 443 ssl;', `listen 127.0.0.1:${https} ssl;`)
    .replaceAll('/etc/ssl/images.example.com', folder)
    .replace('127.0.0.1:8080', `127.0.0.1:${upstream}`)
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    name => `${name}_temp_path ${join(folder, name)};`,
  )
  const config = `daemon off; master_process off; pid ${join(folder, 'pid')}; error_log stderr;
    events {} http { access_log off; ${temp.join(' ')} ${site} }`
  writeFileSync(join(folder, 'nginx.conf'), config)
  const nginx = spawn('nginx', ['-p', folder, '-e', 'stderr', '-c', join(folder, 'nginx.conf')])
  let stderr = ''
  nginx.stderr.on('data', chunk => {
    stderr += chunk
  })
  const closed = new Promise(resolve => nginx.on('close', resolve))
  onTestFinished(async () => {
    nginx.kill()
    await closed
  })
  const url = `http://127.0.0.1:${http}`
  await eventually('nginx answers', () => {
    if (nginx.exitCode !== null) throw new Error(stderr)
    return fetch(`${url}/ping`).then(
      () => true,
      () => false,
    )
  })
  return { url, cert, https: `https://127.0.0.1:${https}` }
}

test('through nginx as in the example an image is published and comes back with its Content-Length', async () => {
  const server = await startServer()
  const proxy = await startProxy(server.port)
  const { uuid } = await create(server)
  // More than nginx takes unless told otherwise.
  const content = bytes(3_000_000)
  const put = await call(proxy, 'PUT', `/images/${uuid}/file?compression=none`, { body: content })
  expect(put.body.files[0]).toMatchObject({ size: content.length, sha1: sha1(content) })
  expect((await call(proxy, 'POST', `/images/${uuid}?action=activate`)).status).toBe(200)

  const got = await fetch(`${proxy.url}/images/${uuid}/file`)
  expect(got.headers.get('content-length')).toBe(String(content.length))
  expect(sha1(new Uint8Array(await got.arrayBuffer()))).toBe(sha1(content))
  const plain = { headers: { 'accept-encoding': 'identity' } }
  const list = await fetch(`${proxy.url}/images`, plain)
  expect(list.headers.get('content-length')).toBe(String((await list.arrayBuffer()).byteLength))
  const part = await fetch(`${proxy.url}/images/${uuid}/file`, { headers: { range: 'bytes=2999990-' } })
  expect(part.status).toBe(206)
  expect(Buffer.from(await part.arrayBuffer()).equals(content.subarray(2_999_990))).toBe(true)
})

test('nginx as in the example does not redirect, and takes TLS 1.2 with ciphers of old platforms', async () => {
  const server = await startServer()
  const proxy = await startProxy(server.port)
  expect((await fetch(`${proxy.url}/ping`, { redirect: 'manual' })).status).toBe(200)
  const old = ['--tls-max', '1.2', '--ciphers', 'AES128-SHA256']
  const { code, stdout } = await run('curl', ['-sS', '--cacert', proxy.cert, ...old, `${proxy.https}/ping`])
  expect(code).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({ imgapi: true })
})
