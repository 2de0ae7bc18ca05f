import { spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import { call } from '../support/api.ts'
import { type KeyPair, makeKey, signedHeaders } from '../support/keys.ts'
import { needsOldClients } from '../support/old-clients.ts'
import { AUTH, PASSWORD, PROGRAM, startServer, type TestServer, USER } from '../support/server.ts'
import { shared } from '../support/shared-server.ts'
import { until } from '../support/until.ts'

const sharedServer = shared(startServer)

const basic = (name: string, password: string) => ({
  authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`,
})
const UNAUTHORIZED = { code: 'UnauthorizedError', message: 'Unauthorized' }

/** What `imgapi passwd` prints for a password on its stdin. */
async function hash(password: string): Promise<string> {
  const child = spawn(process.execPath, [PROGRAM, 'passwd'], { stdio: ['pipe', 'pipe', 'inherit'] })
  child.stdin.end(`${password}\n`)
  return (await text(child.stdout)).trim()
}

describe('a failed login', () => {
  test.for([
    ['a wrong password', basic(USER, 'wrong')],
    ['an unknown user', basic('nobody', 'correct horse')],
    ['no password', basic(USER, '')],
    ['a name without a colon', { authorization: `Basic ${Buffer.from(USER).toString('base64')}` }],
    ['nothing after Basic', { authorization: 'Basic' }],
    ['what is not base64', { authorization: 'Basic %%%' }],
    ['a name of `__proto__`', basic('__proto__', 'x')],
  ] as const)('with %s gets one and the same answer', async ([, headers]) => {
    const server = await sharedServer()
    for (const [method, path] of [
      ['GET', '/images'],
      ['POST', '/images'],
    ] as const) {
      const answer = await call(server, method, path, { headers })
      expect(answer.status).toBe(401)
      expect(answer.body).toEqual(UNAUTHORIZED)
      expect(answer.headers.get('www-authenticate')).toBe('Basic realm="imgapi"')
    }
  })

  test('is logged with the name and the address, but not with the password', async () => {
    const server = await startServer()
    await call(server, 'GET', '/images', { headers: basic('mallory', 'hunter2') })
    const line = () => server.log().find(entry => entry.msg.startsWith('failed login'))
    await expect.poll(line).toMatchObject({ level: 40, user: 'mallory', address: '127.0.0.1' })
    expect(JSON.stringify(server.log())).not.toContain('hunter2')
  })
})

describe('while others guess', () => {
  const CLEAR = [
    { name: USER, password: PASSWORD },
    { name: 'ann', password: 'battery staple' },
  ]
  const list = async (server: TestServer, headers: Record<string, string>) =>
    (await call(server, 'GET', '/images', { headers })).status
  const many = <T>(count: number, make: (index: number) => T) =>
    Array.from({ length: count }, (_, index) => make(index))

  test('twenty wrong logins do not shut out other users: the right one from the same address is let in at once', async () => {
    const server = await startServer({ config: { userdb: CLEAR } })
    const wrong = await Promise.all(many(20, index => list(server, basic(USER, `wrong ${index}`))))
    expect(wrong).toEqual(Array(20).fill(401))
    expect(await list(server, AUTH)).toBe(200)
    expect(await list(server, basic('ann', 'battery staple'))).toBe(200)
    expect((await call(server, 'GET', '/images', { anonymous: true })).status).toBe(200)
  })

  test('the passwords of one user are not tried faster than the limit, however many come at once', async () => {
    const server = await startServer({ config: { userdb: CLEAR } })
    const begun = performance.now()
    const guess = (index: number) =>
      call(server, 'GET', '/images', { headers: basic(USER, `wrong ${index}`) })
    const answers = await Promise.all(many(400, guess))
    const statuses = answers.map(({ status }) => status)
    const seconds = (performance.now() - begun) / 1000
    const tried = statuses.filter(status => status === 401).length
    expect(tried).toBeGreaterThan(20)
    expect(tried).toBeLessThanOrEqual(60 + seconds)
    expect(statuses.filter(status => status === 429)).toHaveLength(400 - tried)
    const refused = answers.find(({ status }) => status === 429)
    expect(refused).toMatchObject({ body: { code: 'TooManyRequests' } })
    expect(Number(refused!.headers.get('retry-after'))).toBe(1)
    // Another user, behind the same address.
    expect(await list(server, basic('ann', 'battery staple'))).toBe(200)
  })

  test('names are not tried faster than the limit, and who was there before is let in beside it', async () => {
    const server = await startServer({ config: { userdb: CLEAR } })
    expect(await list(server, AUTH)).toBe(200)
    const begun = performance.now()
    const guesses = many(600, index => list(server, basic(`name${index}`, 'guess')))
    const logins: number[] = []
    for (let count = 0; count < 20; count++) logins.push(await list(server, AUTH))
    const statuses = await Promise.all(guesses)
    logins.push(await list(server, AUTH))
    const seconds = (performance.now() - begun) / 1000
    expect(logins).toEqual(Array(21).fill(200))
    expect(statuses.filter(status => status === 401).length).toBeLessThanOrEqual(200 + 5 * seconds)
    expect(statuses).toContain(429)
  })

  test('a client that repeats one wrong password is answered each time, and does not keep other clients out', async () => {
    const server = await startServer({ config: { userdb: CLEAR } })
    const statuses = await Promise.all(many(200, () => list(server, basic(USER, 'the old password'))))
    expect(statuses).toEqual(Array(200).fill(401))
    expect(await list(server, AUTH)).toBe(200)
  })

  test('slow hashes are checked for few at a time, and not again for who has logged in', async () => {
    const hashed = await hash('battery staple')
    const server = await startServer({ config: { userdb: [{ name: 'ann', password: hashed }] } })
    const right = basic('ann', 'battery staple')
    // The same login many times at once is one check.
    expect(await Promise.all(many(50, () => list(server, right)))).toEqual(Array(50).fill(200))
    let isOver = false
    const guesses = Promise.all(many(100, index => list(server, basic(`name${index}`, 'guess')))).finally(
      () => {
        isOver = true
      },
    )
    const logins: number[] = []
    for (let count = 0; count < 5; count++) logins.push(await list(server, right))
    expect(logins).toEqual(Array(5).fill(200))
    // Each check takes a tenth of a second or more: the logins did not wait for those of the guesses.
    expect(isOver).toBe(false)
    const statuses = await guesses
    expect(statuses.filter(status => status === 401).length).toBeLessThanOrEqual(16)
    expect(new Set(statuses)).toEqual(new Set([401, 429]))
  })

  needsOldClients('a login by signature counts in the same way', async () => {
    const [own, other] = [makeKey('ed25519'), makeKey('ed25519')]
    const server = await startServer({ config: { authKeys: { ann: [own.line] } } })
    const signed = async (user: string, key: KeyPair) => list(server, await signedHeaders({ user, key }))
    expect(await Promise.all(many(20, () => signed('ann', other)))).toEqual(Array(20).fill(401))
    expect(await signed('ann', own)).toBe(200)
    const guesses = await Promise.all(many(230, index => signed(`name${index}`, other)))
    expect(new Set(guesses)).toEqual(new Set([401, 429]))
    expect(await signed('ann', own)).toBe(200)
  })

  test('a password that was exchanged counts no more, nor does the memory of the old one', async () => {
    const [old, fresh] = await Promise.all([hash('old'), hash('fresh')])
    const server = await startServer({ config: { userdb: [{ name: 'ann', password: old }] } })
    expect(await list(server, basic('ann', 'old'))).toBe(200)
    expect(await list(server, basic('ann', 'fresh'))).toBe(401)
    const config = JSON.parse(readFileSync(server.configPath, 'utf8'))
    writeFileSync(
      server.configPath,
      JSON.stringify({ ...config, userdb: [{ name: 'ann', password: fresh }] }),
    )
    server.signal('SIGHUP')
    await until('the config is reloaded', () =>
      server.log().some(({ msg }) => msg.startsWith('config reloaded')),
    )
    expect(await list(server, basic('ann', 'old'))).toBe(401)
    expect(await list(server, basic('ann', 'fresh'))).toBe(200)
  })
})

test('a hashed password is checked as a clear one is', async () => {
  const hashed = await hash('battery staple')
  expect(hashed).toMatch(/^\$scrypt\$ln=\d+,r=\d+,p=\d+\$/)
  const server = await startServer({ config: { userdb: [{ name: 'ann', password: hashed }] } })
  const ping = async (headers: Record<string, string>) =>
    (await call(server, 'GET', '/ping', { headers })).status
  expect(await ping(basic('ann', 'battery staple'))).toBe(200)
  expect(await ping(basic('ann', 'battery staple'))).toBe(200)
  expect(await ping(basic('ann', 'battery'))).toBe(401)
  expect(await ping(basic('ann', hashed))).toBe(401)
  expect(await ping(basic('bob', 'battery staple'))).toBe(401)
})

test('a password may hold colons and any letters', async () => {
  const password = 'pä:ß:wörd €'
  const server = await startServer({ config: { userdb: [{ name: 'ann', password }] } })
  expect((await call(server, 'GET', '/ping', { headers: basic('ann', password) })).body.user).toBe('ann')
})
