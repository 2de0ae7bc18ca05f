import { expect, test } from 'vitest'
import { exposureWarnings } from '../../src/commands/serve/exposure.ts'

const SAFE = {
  authType: 'any',
  accel: undefined,
  userdb: [{ name: 'admin', password: 'long and random' }],
} as const
const OPEN = { ...SAFE, authType: 'none' } as const
const BEHIND_FRONT = { ...SAFE, accel: { header: 'X-Accel-Redirect', prefix: '/stored-images' } }
const EXAMPLE = { ...SAFE, userdb: [{ name: 'admin', password: 'secret' }] }
const ALL = { authType: 'none', accel: BEHIND_FRONT.accel, userdb: EXAMPLE.userdb } as const

const CASES = [
  { name: 'a safe config', config: SAFE, words: [] },
  { name: 'authType none', config: OPEN, words: ['authType is "none"'] },
  { name: 'accel', config: BEHIND_FRONT, words: ['accel is set'] },
  { name: 'the password of the example', config: EXAMPLE, words: ['password of the example config'] },
  { name: 'all of them', config: ALL, words: ['authType', 'accel', 'password'] },
]

for (const { name, config, words } of CASES) {
  test.each([undefined, '0.0.0.0', '::', '192.0.2.1', '2001:db8::1'])(`warns of ${name} on %s`, address => {
    const warnings = exposureWarnings({ ...config, userdb: [...config.userdb] }, address)
    expect(warnings).toHaveLength(words.length)
    for (const [index, word] of words.entries()) expect(warnings[index]).toContain(word)
  })

  test.each(['127.0.0.1', '127.0.0.2', '::1'])(`does not warn of ${name} on %s`, address => {
    expect(exposureWarnings({ ...config, userdb: [...config.userdb] }, address)).toEqual([])
  })
}
