import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import { call } from '../support/api.ts'
import { AUTH, PROGRAM, startServer, USER } from '../support/server.ts'

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
    const server = await startServer()
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

  test('too many times shuts the address out, even with the right password, but not anonymous readers', async () => {
    const server = await startServer()
    const fail = () => call(server, 'GET', '/images', { headers: basic(USER, 'wrong') })
    const answers = await Promise.all(Array.from({ length: 20 }, fail))
    expect(answers.map(answer => answer.status)).toEqual(Array(20).fill(401))

    const shutOut = await call(server, 'GET', '/images', { headers: AUTH })
    expect(shutOut.status).toBe(429)
    expect(shutOut.body).toMatchObject({
      code: 'TooManyRequests',
      message: expect.stringContaining('127.0.0.1'),
    })
    expect(Number(shutOut.headers.get('retry-after'))).toBeGreaterThan(50)
    expect((await call(server, 'GET', '/images', { anonymous: true })).status).toBe(200)
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
