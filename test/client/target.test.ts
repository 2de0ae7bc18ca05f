import { describe, expect, test } from 'vitest'
import { authorizer } from '../../src/client/authorization.ts'
import { resolveTarget, type TargetOptions } from '../../src/client/target.ts'

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
    // Only the user is expected, or none.
    expect('credentials' in target && target.credentials !== undefined).toBe(
      'credentials' in expected || options.readConfig !== undefined,
    )
  })
})

const HOME = 'http://home:8080'
const SECRET = { IMGAPI_USER: 'u', IMGAPI_PASSWORD: 'p' }
const KEY = { IMGAPI_USER: 'u', IMGAPI_IDENTITY: '/k' }
const signature = { type: 'signature', user: 'u', key: 'key in /k' }
const anonymous = { credentials: undefined, userToAsk: undefined }

describe('credentials of the environment are for the server of IMGAPI_URL, if that is set:', () => {
  test.each<[string, TargetOptions['env'], string | undefined, object]>([
    ['no --url', { IMGAPI_URL: HOME, ...SECRET }, undefined, basic('u', 'p')],
    ['no --url, a key', { IMGAPI_URL: HOME, ...KEY }, undefined, { credentials: signature }],
    ['the same URL', { IMGAPI_URL: HOME, ...SECRET }, HOME, basic('u', 'p')],
    ['another path', { IMGAPI_URL: `${HOME}/a`, ...SECRET }, `${HOME}/b?channel=c`, basic('u', 'p')],
    ['the default port', { IMGAPI_URL: 'https://home', ...SECRET }, 'https://home:443', basic('u', 'p')],
    ['http where nothing is said', { IMGAPI_URL: 'home:8080', ...SECRET }, HOME, basic('u', 'p')],
    ['another user there', { IMGAPI_URL: HOME, ...SECRET }, 'http://v@home:8080', basic('v', 'p')],
    ['another host', { IMGAPI_URL: HOME, ...SECRET }, 'http://other:8080', anonymous],
    ['another host, a key', { IMGAPI_URL: HOME, ...KEY }, 'http://other:8080', anonymous],
    ['another host, a password alone', { IMGAPI_URL: HOME, IMGAPI_PASSWORD: 'p' }, 'http://other', anonymous],
    ['another port', { IMGAPI_URL: HOME, ...SECRET }, 'http://home', anonymous],
    ['http in place of https', { IMGAPI_URL: 'https://home', ...SECRET }, 'http://home', anonymous],
    ['a user elsewhere', { IMGAPI_URL: HOME, ...SECRET }, 'http://v@other', { userToAsk: 'v' }],
    ['a user elsewhere, a key', { IMGAPI_URL: HOME, ...KEY }, 'http://u@other', { userToAsk: 'u' }],
    ['user and password elsewhere', { IMGAPI_URL: HOME, ...SECRET }, 'http://v:w@other', basic('v', 'w')],
    ['no IMGAPI_URL', SECRET, 'http://other', basic('u', 'p')],
    ['no IMGAPI_URL, a key', KEY, 'http://other', { credentials: signature }],
    ['no IMGAPI_URL, a user', { IMGAPI_PASSWORD: 'p' }, 'http://v@other', basic('v', 'p')],
    ['no IMGAPI_URL, no --url', SECRET, undefined, basic('u', 'p')],
    ['nothing, no --url', {}, undefined, basic('first', 'clear')],
    ['nothing', {}, 'http://images.example.com:8080', anonymous],
    ['a URL with credentials is for itself', { IMGAPI_URL: 'http://v:w@home' }, 'http://home', anonymous],
  ])('%s', (name, env, url, expected) => {
    const { credentials, userToAsk, note } = resolve({ env, url })
    expect({ credentials, userToAsk }).toEqual({ ...anonymous, ...expected })
    // What is not used is told, unless other credentials are in the URL.
    expect(note !== undefined).toBe(
      /another (host|port)|in place|elsewhere/.test(name) && credentials === undefined,
    )
    expect(note ?? '').not.toMatch(/\b[pw]\b|\/k/)
  })
})

describe('it is refused, without a password in the message:', () => {
  test.each<[string, Partial<TargetOptions>]>([
    ['a URL of another kind', { url: 'ftp://u:hidden@a' }],
    ['no URL at all', { url: 'http://u:hidden@' }],
    ['a broken escape', { url: 'http://u:hidden%zz@a' }],
    ['a password without a user', { url: 'http://a', env: { IMGAPI_PASSWORD: 'hidden' } }],
    [
      'an IMGAPI_URL that does not say whose the password is',
      { url: 'http://a', env: { IMGAPI_URL: 'ftp://u:hidden@b', ...SECRET } },
    ],
    ['an unknown port', { readConfig: () => ({ ...config, port: 0 }) }],
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
