import { describe, expect, test } from 'vitest'
import { authorizer } from '../../src/client/authorization.ts'
import { resolveTarget, type TargetOptions } from '../../src/client/target.ts'
import { listPages, PAGE } from '../../src/sources/pages.ts'

/** Which server, and who we are there. */

const config = {
  host: 'images.example.com',
  port: 8080,
  userdb: [
    { name: 'hashed', password: '$scrypt$x' },
    { name: 'first', password: 'clear' },
  ],
}

const resolve = (options: Partial<TargetOptions> = {}) => {
  const { url, ...rest } = resolveTarget({
    env: {},
    readConfig: () => config,
    readFile: path => `key in ${path}`,
    isHashed: password => password.startsWith('$scrypt$'),
    ...options,
  })
  return { url: url.href, ...rest }
}

const basic = (user: string, password: string) => ({ credentials: { type: 'basic', user, password } })

describe('the target is', () => {
  test.each<[string, Partial<TargetOptions>, object]>([
    [
      'the server of the config, with its first password that is in clear',
      {},
      { url: 'http://images.example.com:8080/', ...basic('first', 'clear') },
    ],
    [
      'the flag before the environment, and never with the password of the config',
      { url: 'http://a', env: { IMGAPI_URL: 'http://b' } },
      { url: 'http://a/' },
    ],
    [
      'credentials of the URL, decoded, and not in the URL any more',
      { url: 'https://u%40x:p%3Aw@a/base/' },
      { url: 'https://a/base', ...basic('u@x', 'p:w') },
    ],
    [
      'user and password of the environment, for a URL without',
      { url: 'http://a', env: { IMGAPI_USER: 'u', IMGAPI_PASSWORD: 'p' } },
      basic('u', 'p'),
    ],
    [
      'user and password of the environment before those of the config',
      { env: { IMGAPI_USER: 'u', IMGAPI_PASSWORD: 'p' } },
      { url: 'http://images.example.com:8080/', ...basic('u', 'p') },
    ],
    [
      'a key before a password',
      { url: 'http://a', env: { IMGAPI_USER: 'u', IMGAPI_PASSWORD: 'p', IMGAPI_IDENTITY: '/k' } },
      { credentials: { type: 'signature', user: 'u', key: 'key in /k' } },
    ],
    ['a user to ask for the password', { url: 'http://u@a' }, { userToAsk: 'u' }],
    ['http where nothing is said', { url: 'images:8080' }, { url: 'http://images:8080/' }],
    ['the channel of the URL', { url: 'http://a?channel=dev' }, { url: 'http://a/', channel: 'dev' }],
    ['the channel of the flag first', { url: 'http://a?channel=dev', channel: '*' }, { channel: '*' }],
    [
      'https where the config has a certificate',
      { readConfig: () => ({ ...config, tls: {} }) },
      { url: 'https://images.example.com:8080/' },
    ],
    [
      'this machine where the server listens everywhere',
      { readConfig: () => ({ ...config, host: '::' }) },
      { url: 'http://[::1]:8080/' },
    ],
    [
      'one whose certificate is not checked, if so asked',
      { url: 'https://a', env: { IMGAPI_INSECURE: '1' } },
      { insecure: true },
    ],
  ])('%s', (_name, options, expected) => {
    const target = resolve(options)
    expect(target).toMatchObject(expected)
    // Who we are is all that is expected, or nobody.
    expect('credentials' in target && target.credentials !== undefined).toBe(
      'credentials' in expected || options.readConfig !== undefined,
    )
  })
})

describe('it is refused, without a password in the message:', () => {
  test.each<[string, Partial<TargetOptions>]>([
    ['a URL of another kind', { url: 'ftp://u:hidden@a' }],
    ['no URL at all', { url: 'http://u:hidden@' }],
    ['a broken escape', { url: 'http://u:hidden%zz@a' }],
    ['a password without a user', { url: 'http://a', env: { IMGAPI_PASSWORD: 'hidden' } }],
    ['a port that nobody knows', { readConfig: () => ({ ...config, port: 0 }) }],
  ])('%s', (_name, options) => {
    let message = ''
    try {
      resolve(options)
    } catch (error) {
      message = (error as Error).message
    }
    expect(message).not.toBe('')
    expect(message).not.toContain('hidden')
  })
})

test('what is no key is refused before any request', () => {
  expect(() => authorizer({ type: 'signature', user: 'u', key: 'nonsense' })).toThrow('IMGAPI_IDENTITY')
})

const images = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ uuid: String(index), name: 'n', version: 'v' }))

describe('every image is listed once by a server', () => {
  const all = images(2 * PAGE + 500)
  const from = (marker: string | undefined) => (marker === undefined ? 0 : Number(marker))
  test.each<[string, (page: { limit: string; marker?: string }) => typeof all]>([
    ['that begins a page with the marker', ({ marker }) => all.slice(from(marker), from(marker) + PAGE)],
    ['that begins after the marker', ({ marker }) => all.slice(marker ? from(marker) + 1 : 0).slice(0, PAGE)],
    ['that knows neither limit nor marker', () => all],
    ['that has just one page', ({ marker }) => (marker ? all.slice(PAGE - 1, PAGE) : all.slice(0, PAGE))],
  ])('%s', async (name, answer) => {
    const found = []
    for await (const page of listPages(async page => answer(page))) found.push(...page)
    expect(found).toEqual(name.includes('just one') ? all.slice(0, PAGE) : all)
  })
})
