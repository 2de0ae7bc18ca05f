import { copyFileSync, existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { expect } from 'vitest'
import { selfSigned } from '../support/certificate.ts'
import { needsAll } from '../support/programs.ts'
import { eventually, imgapi, run } from '../support/run.ts'
import { startServer, type TestServer, temporaryFolder } from '../support/server.ts'

const test = needsAll({ openssl: 'openssl', curl: 'curl' })

async function startTlsServer() {
  const tls = selfSigned('first')
  return { tls, server: await startServer({ config: { tls } }) }
}

const curl = (server: TestServer, ...args: string[]) =>
  run('curl', ['-sS', ...args, `https://127.0.0.1:${server.port}/ping`])

/** The name in the certificate that a new connection is shown. */
const nameShown = (server: TestServer) =>
  new Promise<string>((resolve, reject) => {
    const socket = connect({ port: server.port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
      resolve(String(socket.getPeerCertificate().subject.CN))
      socket.end()
    })
    socket.on('error', reject)
  })

const logLine = (server: TestServer, text: string) =>
  eventually(`a log line with "${text}"`, () => server.log().find(({ msg }) => msg.includes(text)))

test('with a certificate the server speaks HTTPS to clients that trust it, and says so in the log', async () => {
  const { server, tls } = await startTlsServer()
  const { code, stdout } = await curl(server, '--cacert', tls.cert)
  expect(code).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({ imgapi: true })
  await logLine(server, `imgadm sources -a https://127.0.0.1:${server.port}`)
  // 60: the certificate is not trusted.
  expect((await curl(server)).code).toBe(60)
})

for (const cipher of [
  'AES128-SHA256',
  'AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-SHA256',
  'ECDHE-RSA-AES256-GCM-SHA384',
]) {
  test(`TLS 1.2 with ${cipher}, which old platforms speak, is accepted`, async () => {
    const { server, tls } = await startTlsServer()
    const { code, stderr } = await curl(server, '--cacert', tls.cert, '--tls-max', '1.2', '--ciphers', cipher)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  })
}

test('TLS 1.1 is refused, by the server', async () => {
  const { server } = await startTlsServer()
  // Level 0, or the client would not even try.
  const options = ['-tls1_1', '-cipher', 'ALL:@SECLEVEL=0', '-connect', `127.0.0.1:${server.port}`]
  const { code, stderr } = await run('openssl', ['s_client', ...options])
  expect(code).toBe(1)
  expect(stderr).toMatch(/alert protocol version/)
})

test('SIGHUP takes over a new certificate', async () => {
  const { server, tls } = await startTlsServer()
  const renewed = selfSigned('second')
  copyFileSync(renewed.cert, tls.cert)
  copyFileSync(renewed.key, tls.key)
  expect(await nameShown(server)).toBe('first')
  server.signal('SIGHUP')
  await logLine(server, 'config reloaded')
  expect(await nameShown(server)).toBe('second')
  expect((await curl(server, '--cacert', renewed.cert)).code).toBe(0)
})

test('a certificate that is broken or does not fit on SIGHUP leaves the old one, and is logged as an error', async () => {
  const { server, tls } = await startTlsServer()
  const other = selfSigned('second')
  copyFileSync(other.key, tls.key)
  server.signal('SIGHUP')
  expect(await logLine(server, 'do not belong together')).toMatchObject({ level: 50 })
  expect(await nameShown(server)).toBe('first')

  rmSync(tls.cert)
  server.signal('SIGHUP')
  expect(await logLine(server, 'cannot read the file')).toMatchObject({ level: 50 })
  expect(await nameShown(server)).toBe('first')
})

async function startWith(tls: { cert: string; key: string }) {
  const folder = temporaryFolder()
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ datadir: 'data', port: 0, tls }))
  const outcome = await imgapi(['-s', '-c', 'config.json'], { cwd: folder })
  expect(existsSync(join(folder, 'data'))).toBe(false)
  return outcome
}

test('a file that is missing is named at the start, exit code 1', async () => {
  const folder = temporaryFolder()
  const { cert } = selfSigned('first')
  const { code, stdout, stderr } = await startWith({ cert, key: join(folder, 'nowhere.key') })
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  expect(stderr).toMatch(/^imgapi: tls\.key: cannot read the file: ENOENT.*nowhere\.key'\n$/)
})

test('a key of another certificate is told at the start, exit code 1', async () => {
  const { cert } = selfSigned('first')
  const { key } = selfSigned('second')
  const { code, stderr } = await startWith({ cert, key })
  expect(code).toBe(1)
  expect(stderr).toBe(
    `imgapi: tls: the certificate ${cert} and the key ${key} cannot be used: they do not belong together\n`,
  )
})

test('a file that is no certificate is told at the start, exit code 1', async () => {
  const { cert, key } = selfSigned('first')
  writeFileSync(cert, 'this is not PEM\n')
  const { code, stderr } = await startWith({ cert, key })
  expect(code).toBe(1)
  expect(stderr).toMatch(/^imgapi: tls: the certificate .* cannot be used: .*\n$/)
})
