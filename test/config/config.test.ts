import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ConfigError, parseConfig, readConfig } from '../../src/config/config.ts'
import { temporaryFolder } from '../support/server.ts'

const PREDECESSOR = {
  datadir: '/data/imgapi/files',
  port: 8080,
  host: '127.0.0.1',
  userdb: [{ name: 'admin', password: 'secret' }],
}

/** The lines of what is wrong with a config. */
function problems(value: unknown): string[] {
  try {
    parseConfig(value, 'FILE')
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError)
    return (error as Error).message.split('\n')
  }
  return []
}

test("the predecessor's config is a config as it stands", () => {
  expect(parseConfig(PREDECESSOR, 'FILE')).toMatchObject(PREDECESSOR)
})

test('a datadir is all that a config must have', () => {
  const config = parseConfig({ datadir: '/images' }, 'FILE')
  expect(config).toMatchObject({ port: 8080, host: '127.0.0.1', userdb: [], mode: 'standalone' })
  expect(problems({})).toEqual(['FILE: datadir: found nothing, expected text'])
})

describe('what is wrong is told by place, what was found, and what is expected', () => {
  test.each([
    [{ port: '8080' }, 'FILE: port: found "8080", expected a whole number from 0 to 65535'],
    [{ port: 65536 }, 'FILE: port: found 65536, expected a whole number from 0 to 65535'],
    [{ port: -1 }, 'FILE: port: found -1, expected a whole number from 0 to 65535'],
    [{ port: 80.5 }, 'FILE: port: found 80.5, expected a whole number from 0 to 65535'],
    [{ host: '' }, 'FILE: host: found "", expected text that is not empty'],
    [
      { mode: 'Public' },
      'FILE: mode: found "Public", expected one of "standalone", "public", "private", "dc"',
    ],
    [{ tls: true }, 'FILE: tls: found true, expected an object {"cert": FILE, "key": FILE}'],
    [{ tls: { cert: 'a.pem' } }, 'FILE: tls.key: found nothing, expected text'],
    [{ tls: { cert: 'a', key: 'b', ca: 'c' } }, 'FILE: tls.ca: unknown key'],
    [
      { channels: [{ name: 'dev' }, { name: 'dev' }] },
      'FILE: channels: found [{"name":"dev","description":""},{"name":"dev","description":""}], expected a list in which each name stands once',
    ],
    [{ stallTimeout: 0 }, 'FILE: stallTimeout: found 0, expected a whole number from 1 to 86400 (seconds)'],
  ])('%j', (change, expected) => {
    expect(problems({ ...PREDECESSOR, ...change })).toEqual([expected])
  })

  test.each([[null], [[]], ['datadir'], [7]])('a config that is %j is no object', value => {
    expect(problems(value)).toEqual([`FILE: the config: found ${JSON.stringify(value)}, expected an object`])
  })
})

test('an unknown key is named, with the keys there are', () => {
  const [problem] = problems({ ...PREDECESSOR, prot: 80 })
  expect(problem).toMatch(/^FILE: prot: unknown key; the keys are datadir, port, host, /)
  expect(problems({ ...PREDECESSOR, userdb: [{ name: 'a', password: 'b', pasword: 'c' }] })).toEqual([
    'FILE: userdb[0].pasword: unknown key',
  ])
})

test('everything that is wrong is told at once', () => {
  const lines = problems({ port: 'x', mode: 'y', colour: 'z', userdb: [{ name: 'a' }] })
  expect(lines.map(line => line.split(': ')[1])).toEqual([
    'datadir',
    'port',
    'userdb[0].password',
    'mode',
    'colour',
  ])
})

describe('a password is never repeated', () => {
  test.each([
    [[{ name: 'admin', password: 4711 }]],
    [[{ name: 'admin', password: ['4711'] }]],
    [['admin:4711']],
    [{ admin: '4711' }],
    ['admin:4711'],
    [[{ name: 'admin:4711', password: 'x' }]],
    [[{ name: ['admin', '4711'], password: 'x' }]],
  ])('userdb %j', userdb => {
    const lines = problems({ ...PREDECESSOR, userdb })
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatch(/^FILE: userdb.*: found (text|a number|a list|an object), expected /)
    expect(lines[0]).not.toContain('4711')
  })

  test('not even one in the URL of a source', () => {
    const sources = [{ url: 7, ca: 'a' }, 'https://eve:s4711@images.example.com/x']
    expect(problems({ ...PREDECESSOR, sources }).join()).not.toContain('4711')
    expect(problems({ ...PREDECESSOR, publicUrl: '//eve:s4711@images.example.com' })).toEqual([
      'FILE: publicUrl: found "//***@images.example.com", expected an http or https URL',
    ])
  })

  test('not even where the file is not JSON, which is told by line and column', () => {
    const file = join(temporaryFolder(), 'config.json')
    writeFileSync(file, '{\n  "datadir": "/images",\n  "userdb": [{"name": "a", "password": s4711}]\n}\n')
    expect(() => readConfig(file)).toThrow(new ConfigError(`${file}: not valid JSON: line 3, column 40`))
  })
})

describe('a file that is not JSON', () => {
  test.each([
    ['', 'line 1, column 1'],
    ['{"datadir": "/images",}', 'line 1, column 23'],
    ['{\n  // where the images are\n  "datadir": "/images"\n}', 'line 2, column 3'],
  ])('%j is refused at its %s', (text, place) => {
    const file = join(temporaryFolder(), 'config.json')
    writeFileSync(file, text)
    expect(() => readConfig(file)).toThrow(new ConfigError(`${file}: not valid JSON: ${place}`))
  })
})

test('relative paths count from the folder of the config file, absolute ones stay', () => {
  const folder = temporaryFolder()
  mkdirSync(join(folder, 'etc'))
  const file = join(folder, 'etc', 'config.json')
  const tls = { cert: 'cert.pem', key: '/etc/key.pem' }
  const sources = [{ url: 'https://images.example.com/', ca: 'ca.pem' }]
  writeFileSync(file, JSON.stringify({ datadir: '../images', tls, sources }))
  expect(readConfig(file)).toMatchObject({
    datadir: join(folder, 'images'),
    tls: { cert: join(folder, 'etc', 'cert.pem'), key: '/etc/key.pem' },
    sources: [{ ca: join(folder, 'etc', 'ca.pem') }],
  })
})

describe('mirrors', () => {
  const source = 'https://eve:s4711@images.example.com/'

  test('have defaults, and each source stands once, whatever its credentials', () => {
    const { mirrors } = parseConfig({ ...PREDECESSOR, mirrors: [{ source }] }, 'FILE')
    expect(mirrors).toEqual([{ source, include: [], exclude: [], interval: 3600, onDelete: 'keep' }])
    const twice = [{ source }, { source: 'https://images.example.com' }]
    expect(problems({ ...PREDECESSOR, mirrors: twice })).toEqual([
      'FILE: mirrors: found a list, expected a list in which each source stands once',
    ])
    const apart = [{ source }, { source: `${source}?channel=dev` }]
    expect(problems({ ...PREDECESSOR, mirrors: apart })).toEqual([])
  })

  test.each([
    [{ source: 'ftp://eve:s4711@x/' }, 'FILE: mirrors[0].source: found text, expected an http or https URL'],
    [{ source, onDelete: 'drop' }, /mirrors\[0\]\.onDelete: found "drop", expected one of "keep", "disable"/],
    [{ source, include: [{ newest: 0 }] }, /include\[0\]\.newest: found 0, expected a whole number from 1/],
    [{ source, include: [{ nmae: 'x' }] }, 'FILE: mirrors[0].include[0].nmae: unknown key'],
    [{ source, exclude: [{ newest: 1 }] }, 'FILE: mirrors[0].exclude[0].newest: unknown key'],
    [
      { source, include: [{ publishedAfter: 'May' }] },
      /publishedAfter: found "May", expected a date such as/,
    ],
    [{ source, channel: 'qa' }, 'FILE: mirrors[0].channel: found "qa", expected one of "dev", "release"'],
    [{ source }, 'FILE: mirrors[0].channel: found nothing, expected one of "dev", "release"'],
  ])('%j', (mirror, expected) => {
    const channels = [{ name: 'dev' }, { name: 'release' }]
    const lines = problems({ ...PREDECESSOR, channels, mirrors: [mirror] })
    expect(lines).toEqual([typeof expected === 'string' ? expected : expect.stringMatching(expected)])
    expect(lines.join()).not.toContain('4711')
  })
})

describe('LXD image servers', () => {
  const read = (lxdRegistries: unknown) =>
    parseConfig({ ...PREDECESSOR, lxdRegistries }, 'FILE').lxdRegistries

  test('speak simplestreams unless it says otherwise; without any, there are those of LXD', () => {
    const [streams, server] = ['https://images.example.com/', 'https://lxd.example.com:8443']
    expect(read({ a: streams, b: { url: streams }, c: { url: server, protocol: 'lxd' } })).toEqual({
      a: { url: streams, protocol: 'simplestreams' },
      b: { url: streams, protocol: 'simplestreams' },
      c: { url: server, protocol: 'lxd' },
    })
    expect(read({})).toEqual({})
    const { images, ubuntu } = read(undefined)
    expect([images!.url, ubuntu!.protocol]).toEqual(['https://images.lxd.canonical.com', 'simplestreams'])
  })

  test.each([[{ a: 'ftp://x/' }], [{ a: 5 }], [{ a: {} }], [{ a: { url: 'https://x/', protocol: 'http' } }]])(
    '%j',
    registries => {
      const unknown = { a: { url: 'https://x/', port: 1 } }
      expect(problems({ ...PREDECESSOR, lxdRegistries: unknown })).toEqual([
        'FILE: lxdRegistries.a.port: unknown key',
      ])
      expect(problems({ ...PREDECESSOR, lxdRegistries: registries })).toEqual([
        expect.stringMatching(
          /^FILE: lxdRegistries\.a: found .*, expected a URL, or an object \{"url": URL, /,
        ),
      ])
    },
  )
})
