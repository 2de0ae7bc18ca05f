import { spawn } from 'node:child_process'
import { expect, test } from 'vitest'
import { call } from '../support/api.ts'
import { needs } from '../support/programs.ts'
import { eventually, imgapi } from '../support/run.ts'
import { PROGRAM, startServer } from '../support/server.ts'

const HASH = /\$scrypt\$ln=15,r=8,p=3\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}/

async function loginStatus(stored: string, password: string) {
  const server = await startServer({ config: { userdb: [{ name: 'eve', password: stored }] } })
  const authorization = `Basic ${Buffer.from(`eve:${password}`).toString('base64')}`
  return (await call(server, 'GET', '/images', { headers: { authorization } })).status
}

test.each([
  ['s4711 with spaces', 's4711 with spaces\n'],
  ['no line break', 'no line break'],
  ['from Windows', 'from Windows\r\n'],
  [' spaces count ', ' spaces count \n'],
  ['Grüße, 世界', 'Grüße, 世界\n'],
])('the hash of a password from stdin lets its owner in: %j', async (password, input) => {
  const { code, stdout, stderr } = await imgapi(['passwd'], { input })
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toMatch(new RegExp(`^${HASH.source}\n$`))
  expect(await loginStatus(stdout.trim(), password)).toBe(200)
  expect(await loginStatus(stdout.trim(), `${password}x`)).toBe(401)
})

test('two hashes of one password differ', async () => {
  const [one, two] = await Promise.all([1, 2].map(() => imgapi(['passwd'], { input: 'same\n' })))
  expect(one!.stdout).not.toBe(two!.stdout)
})

test.each(['', '\n'])('an empty password (%j) is refused', async input => {
  const { code, stdout, stderr } = await imgapi(['passwd'], { input })
  expect({ code, stdout, stderr }).toEqual({ code: 1, stdout: '', stderr: 'imgapi: the password is empty\n' })
})

/** Types answers to the questions on a terminal, and gives all that the terminal showed. */
async function typeInto(answers: Record<string, string>): Promise<{ code: number | null; shown: string }> {
  const command = `${process.execPath} ${PROGRAM} passwd`
  const terminal = spawn('script', ['-qec', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] })
  const exited = new Promise<number | null>(resolve => terminal.on('close', resolve))
  let shown = ''
  terminal.stdout.on('data', chunk => {
    shown += chunk
  })
  for (const [question, answer] of Object.entries(answers)) {
    await eventually(`the question ${question}`, () => shown.includes(question))
    terminal.stdin.write(`${answer}\r`)
  }
  const code = await exited
  return { code, shown }
}

needs('script', 'bsdutils')('on a terminal it asks twice and shows nothing of the password', async () => {
  const { code, shown } = await typeInto({ 'Password: ': 's4711', 'Repeat password: ': 's4711' })
  expect(code).toBe(0)
  expect(shown).not.toContain('4711')
  expect(await loginStatus(HASH.exec(shown)![0], 's4711')).toBe(200)
})

needs('script', 'bsdutils')('on a terminal two passwords that differ make no hash', async () => {
  const { code, shown } = await typeInto({ 'Password: ': 's4711', 'Repeat password: ': 's4712' })
  expect(code).toBe(1)
  expect(shown).toContain('imgapi: the passwords differ')
  expect(shown).not.toMatch(HASH)
})
