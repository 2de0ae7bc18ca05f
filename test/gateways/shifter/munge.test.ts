import { mkdirSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { startMunged } from '../../support/munge.ts'
import { needsAll } from '../../support/programs.ts'
import { temporaryFolder } from '../../support/server.ts'
import { ask, startShifter } from '../../support/shifter.ts'
import { until } from '../../support/until.ts'

/** Real credentials of two real munged with a key each, of two systems. */

const test = needsAll({ munged: 'munge', munge: 'munge', unmunge: 'munge' })

async function startTwoSystems() {
  const [red, blue] = [await startMunged(), await startMunged()]
  const folder = temporaryFolder()
  const platform = (name: string, mungeSocketPath: string, admins: string[]) => {
    mkdirSync(join(folder, name))
    return { accesstype: 'local', mungeSocketPath, admins, local: { imageDir: join(folder, name) } }
  }
  const gateway = await startShifter({
    imagemanager: {
      Authentication: 'munge',
      Platforms: {
        red: platform('red', red.socket, [userInfo().username]),
        blue: platform('blue', blue.socket, ['somebody else']),
      },
    },
  })
  const get = (path: string, as: string) => ask(gateway, 'GET', path, { as })
  return { red, blue, gateway, get }
}

test('a credential is good for its own system, once', async () => {
  const { red, blue, get } = await startTwoSystems()
  const credential = await red.credential()
  expect(await get('/api/list/red/', credential)).toMatchObject({ status: 200, body: { list: [] } })
  const replayed = await get('/api/list/red/', credential)
  expect(replayed).toMatchObject({ status: 404, type: 'application/json' })
  expect(replayed.body).toMatchObject({
    error: 'Bad session or system',
    reason: 'the credential was used before',
  })

  expect((await get('/api/list/blue/', await red.credential())).status).toBe(404)
  expect((await get('/api/list/blue/', await blue.credential())).status).toBe(200)
})

test('who the sender is comes from the credential', async () => {
  const { red, blue, get } = await startTwoSystems()
  expect((await get('/api/autoexpire/red/', await red.credential())).body).toEqual({ status: [] })
  expect((await get('/api/autoexpire/blue/', await blue.credential())).body).toEqual({ status: false })
})

test('expired and malformed credentials are refused, and the log has no payload', async () => {
  const { red, gateway, get } = await startTwoSystems()
  const short = await red.credential({ ttl: 1 })
  const decodedAt = Date.now() / 1000
  const whole = await red.credential()
  const refused = [
    'MUNGE:',
    'MUNGE:AwQF:',
    `${whole.slice(0, -10)}:`,
    'good:root:root::0:0',
    await red.credential({ payload: 'not JSON s3cret' }),
    await red.credential({ payload: '{"authorized_locations": ["s3cret"]}' }),
    `MUNGE:${'A'.repeat(8000)}:`,
  ]
  for (const credential of refused) {
    const { status, body } = await get('/api/list/red/', credential)
    expect(status, credential.slice(0, 40)).toBe(404)
    expect(body.error).toBe('Bad session or system')
    expect(body.reason).not.toContain('s3cret')
  }
  await until('the credential has expired', async () => Date.now() / 1000 > decodedAt + 2)
  expect((await get('/api/list/red/', short)).body.reason).toBe('the credential has expired')
  expect(JSON.stringify(gateway.server.log())).not.toContain('s3cret')
})
