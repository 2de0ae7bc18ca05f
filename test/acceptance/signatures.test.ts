import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import sshpk from 'sshpk'
import { describe, expect, test } from 'vitest'
import { call } from '../support/api.ts'
import { json, type Reply, send } from '../support/http.ts'
import { KEY_KINDS, type KeyPair, makeKey, type Signed, signedHeaders } from '../support/keys.ts'
import { allNeedOldClients } from '../support/old-clients.ts'
import { AUTH, startServer, type TestServer, temporaryFolder } from '../support/server.ts'
import { shareServer } from '../support/shared-server.ts'
import { until } from '../support/until.ts'

/** HTTP signatures (reference contract, section 3), made by the ecosystem's own library. */

allNeedOldClients()

const KEYS = Object.fromEntries(KEY_KINDS.map(kind => [kind, makeKey(kind)])) as Record<string, KeyPair>
const [RSA, ECDSA, ED25519] = [KEYS.rsa!, KEYS.ecdsa!, KEYS.ed25519!]
const authKeys = Object.fromEntries(KEY_KINDS.map(kind => [kind, [KEYS[kind]!.line]]))

const ping = async (server: TestServer, headers: Record<string, string>, path = '/ping') =>
  send(`${server.url}${path}`, 'GET', { headers })
const signedPing = async (server: TestServer, signed: Signed, path?: string) =>
  ping(server, await signedHeaders(signed), path)
const user = (reply: Reply) => json(reply).user
const ago = (seconds: number) => new Date(Date.now() - seconds * 1000).toUTCString()

/** Puts lines into the folder where the server looks for the keys of a user. */
function writeKeys(folder: string, name: string, lines: string) {
  const keys = join(folder, 'data', 'etc', 'authkeys', 'local')
  mkdirSync(keys, { recursive: true })
  writeFileSync(join(keys, `${name}.keys`), lines)
}

describe('a server that knows keys', () => {
  let server: TestServer

  shareServer(
    started => {
      server = started
    },
    { config: { authKeys: { ...authKeys, two: [RSA.line, ED25519.line] } } },
  )

  test.each(KEY_KINDS)('a signature with the %s key of a user is that user’s', async kind => {
    expect(user(await signedPing(server, { user: kind, key: KEYS[kind]! }))).toBe(kind)
  })

  test.each(['rsa-sha1', 'rsa-sha256', 'rsa-sha512', 'RSA-SHA256'])('%s is an algorithm', async algorithm => {
    const headers = await signedHeaders({ user: 'rsa', key: RSA, algorithm: algorithm.toLowerCase() })
    headers.authorization = headers.authorization!.replace(algorithm.toLowerCase(), algorithm)
    expect(user(await ping(server, headers))).toBe('rsa')
  })

  test.each([RSA, ED25519])('any of the keys of a user will do', async key => {
    expect(user(await signedPing(server, { user: 'two', key }))).toBe('two')
  })

  test('x-date counts where there is one, whatever the date says', async () => {
    const headers = await signedHeaders({ user: 'rsa', key: RSA, headers: { 'x-date': ago(0) } })
    expect(user(await ping(server, headers))).toBe('rsa')
    expect(user(await ping(server, { ...headers, date: ago(1e6) }))).toBe('rsa')
  })

  test('more than the date may be signed, and counts then', async () => {
    const path = '/ping?a=b'
    const headers = await signedHeaders({
      user: 'ed25519',
      key: ED25519,
      headers: { date: ago(0), '(request-target)': path },
    })
    expect(user(await ping(server, headers, path))).toBe('ed25519')
    expect((await ping(server, headers, '/ping?a=c')).status).toBe(401)
  })

  test('a signature may be five minutes old, or early', async () => {
    for (const seconds of [290, -290]) {
      const signed = { user: 'rsa', key: RSA, headers: { date: ago(seconds) } }
      expect(user(await signedPing(server, signed))).toBe('rsa')
    }
  })

  const header = (parameters: string) => async () => ({
    date: ago(0),
    authorization: `Signature ${parameters}`,
  })
  const changed =
    (signed: Signed, change: (headers: Record<string, string>) => Record<string, string>) => async () =>
      change(await signedHeaders(signed))
  const rsa = { user: 'rsa', key: RSA }
  const REFUSED: [name: string, headers: () => Promise<Record<string, string>>, message: string | RegExp][] =
    [
      ['an unknown user', () => signedHeaders({ ...rsa, user: 'nobody' }), 'Unauthorized'],
      ['another user’s key', () => signedHeaders({ user: 'rsa', key: ED25519 }), 'Unauthorized'],
      [
        'a key of the same kind that no user has',
        () => signedHeaders({ ...rsa, key: makeKey('rsa') }),
        'Unauthorized',
      ],
      [
        'a key’s path in place of the user',
        () => signedHeaders({ ...rsa, user: '/rsa/keys/aa:bb' }),
        'Unauthorized',
      ],
      [
        'a signature over another date',
        changed(rsa, headers => ({ ...headers, date: ago(5) })),
        'Unauthorized',
      ],
      [
        'an old signature',
        () => signedHeaders({ ...rsa, headers: { date: ago(310) } }),
        /^clock skew of 31\d(\.\d+)?s was greater than 300s$/,
      ],
      [
        'a signature of the future',
        () => signedHeaders({ ...rsa, headers: { date: ago(-310) } }),
        /^clock skew of 3\d\d(\.\d+)?s was greater than 300s$/,
      ],
      ['an old x-date', () => signedHeaders({ ...rsa, headers: { 'x-date': ago(310) } }), /^clock skew/],
      [
        'a date that is none',
        () => signedHeaders({ ...rsa, headers: { date: 'yesterday' } }),
        'date is not a date',
      ],
      [
        'an x-date that is none',
        () => signedHeaders({ ...rsa, headers: { 'x-date': 'yesterday' } }),
        'date is not a date',
      ],
      [
        'no date',
        changed(rsa, ({ authorization }) => ({ authorization: authorization! })),
        'date was not in the request',
      ],
      [
        'an x-date that is not signed',
        changed(rsa, headers => ({ ...headers, 'x-date': ago(0) })),
        /x-date|^Unauthorized$/,
      ],
      ['a date that is not signed', () => signedHeaders({ ...rsa, headers: { host: 'x' } }), /./],
      ['no algorithm', header('keyId="rsa",signature="x"'), 'algorithm was not specified'],
      ['no user', header('algorithm="rsa-sha256",signature="x"'), 'keyId was not specified'],
      ['no signature', header('keyId="rsa",algorithm="rsa-sha256"'), 'signature was not specified'],
      [
        'an unknown algorithm',
        header('keyId="rsa",algorithm="rot-13",signature="x"'),
        'rot-13 is not supported',
      ],
      ['a number in place of an algorithm', header('keyId="rsa",algorithm=5,signature="x"'), 'Unauthorized'],
      [
        'a number in place of headers',
        header('keyId="rsa",algorithm="rsa-sha256",headers=5,signature="x"'),
        'Unauthorized',
      ],
      [
        'a secret that all could know',
        header('keyId="rsa",algorithm="hmac-sha256",signature="x"'),
        'Unauthorized ("HMAC-SHA256" is not a supported http-signature signing algorithm)',
      ],
      ['words', header('please!'), 'bad param format'],
      ['another scheme', async () => ({ authorization: 'Bearer x' }), 'scheme was not "Signature"'],
    ]

  test.each(REFUSED)('%s is refused', async (_, headers, message) => {
    const reply = await ping(server, await headers())
    expect(reply.status, reply.body.toString()).toBe(401)
    expect(json(reply)).toEqual({
      code: 'UnauthorizedError',
      message: typeof message === 'string' ? message : expect.stringMatching(message),
    })
    expect(reply.headers['www-authenticate']).toBe('Basic realm="imgapi"')
    // Success also takes back the delay that failures in a row lead to.
    expect(user(await signedPing(server, rsa))).toBe('rsa')
  })
})

test('keys are those of the config and of the key folder; blank lines, comments and broken lines are passed over', async () => {
  const folder = temporaryFolder()
  writeKeys(folder, 'operator', `\n# of the operator\n${ECDSA.line}\nnonsense\n  ${ED25519.line}  \n`)
  writeKeys(folder, 'empty', '')
  const server = await startServer({ folder, config: { authKeys: { operator: [RSA.line, 'nonsense'] } } })
  for (const key of [RSA, ECDSA, ED25519]) {
    expect(user(await signedPing(server, { user: 'operator', key }))).toBe('operator')
  }
  const warnings = server.log().filter(({ msg }) => /a key cannot be read/.test(msg))
  expect(warnings.map(({ msg }) => msg)).toEqual([
    expect.stringMatching(/^authKeys of operator: /),
    expect.stringMatching(/operator\.keys: /),
  ])
})

test('a key file that cannot be read locks out no other user', async () => {
  const folder = temporaryFolder()
  writeKeys(folder, 'operator', ECDSA.line)
  mkdirSync(join(folder, 'data', 'etc', 'authkeys', 'local', 'broken.keys'))
  const server = await startServer({ folder })
  expect(user(await signedPing(server, { user: 'operator', key: ECDSA }))).toBe('operator')
  expect((await call(server, 'POST', '/authkeys/reload')).status).toBe(200)
  expect(server.log().some(({ msg }) => /broken\.keys/.test(msg))).toBe(true)
})

test('keys come and go with a reload', async () => {
  const folder = temporaryFolder()
  const server = await startServer({ folder })
  const asOperator = () => signedPing(server, { user: 'operator', key: ED25519 })
  writeKeys(folder, 'operator', ED25519.line)
  expect((await asOperator()).status).toBe(401)
  expect((await call(server, 'POST', '/authkeys/reload')).text).toBe('{}')
  expect(user(await asOperator())).toBe('operator')

  writeKeys(folder, 'operator', '')
  expect(user(await asOperator())).toBe('operator')
  // With the very key that goes.
  const headers = await signedHeaders({ user: 'operator', key: ED25519 })
  expect((await send(`${server.url}/authkeys/reload`, 'POST', { headers })).status).toBe(200)
  expect((await asOperator()).status).toBe(401)
})

test('keys come with SIGHUP too, those of the config included', async () => {
  const folder = temporaryFolder()
  const server = await startServer({ folder })
  writeKeys(folder, 'filed', ED25519.line)
  const config = { datadir: 'data', port: 0, authKeys: { configured: [RSA.line] } }
  writeFileSync(server.configPath, JSON.stringify(config))
  server.signal('SIGHUP')
  await until('the reload', () => server.log().some(({ msg }) => msg.startsWith('config reloaded')))
  expect(user(await signedPing(server, { user: 'filed', key: ED25519 }))).toBe('filed')
  expect(user(await signedPing(server, { user: 'configured', key: RSA }))).toBe('configured')
})

const TYPES = [
  { authType: 'any', basic: 200, signature: 200, scheme: 'Basic' },
  { authType: 'basic', basic: 200, signature: 401, scheme: 'Basic' },
  { authType: 'signature', basic: 401, signature: 200, scheme: 'Signature' },
  { authType: 'none', basic: 200, signature: 200, scheme: undefined },
]
test.each(TYPES)('authType $authType: Basic $basic, Signature $signature', async expected => {
  const { authType, basic, signature, scheme } = expected
  const server = await startServer({ config: { authType, authKeys } })
  const state = (headers: Record<string, string>) => ping(server, headers, '/state')
  expect((await state(AUTH)).status).toBe(basic)
  for (const kind of KEY_KINDS) {
    const signed = await signedHeaders({ user: kind, key: KEYS[kind]! })
    expect((await state(signed)).status).toBe(signature)
  }
  const stranger = await state({})
  expect(stranger.status).toBe(scheme ? 401 : 200)
  expect(stranger.headers['www-authenticate']).toBe(scheme && `${scheme} realm="imgapi"`)
})

test('a key on the curve P-384 signs SHA-384 digests, as the operators’ tools do with it', async () => {
  const key = sshpk.generatePrivateKey('ecdsa', { curve: 'nistp384' })
  const server = await startServer({ config: { authKeys: { alice: [key.toPublic().toString('ssh')] } } })
  const date = new Date().toUTCString()
  const signer = key.createSign('sha384')
  signer.update(`date: ${date}`)
  const ask = (signature: string) =>
    fetch(`${server.url}/state`, {
      headers: {
        date,
        authorization: `Signature keyId="alice",algorithm="ecdsa-sha384",signature="${signature}"`,
      },
    })
  expect((await ask(signer.sign().toString())).status).toBe(200)
  const other = sshpk.generatePrivateKey('ecdsa', { curve: 'nistp384' }).createSign('sha384')
  other.update(`date: ${date}`)
  expect((await ask(other.sign().toString())).status).toBe(401)
})
