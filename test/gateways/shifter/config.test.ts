import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { runProgram } from '../../support/program.ts'
import { startServer, temporaryFolder } from '../../support/server.ts'
import { announcement, ask } from '../../support/shifter.ts'

/** imagemanager.json as it is, and what is said of one that does not do. */

/** Of the gateway's own documentation, with all of its keys. */
const DOCUMENTED = {
  WorkerThreads: 8,
  LogLevel: 'WARNING',
  DefaultImageLocation: 'registry-1.docker.io',
  DefaultImageFormat: 'squashfs',
  PullUpdateTimeout: 300,
  ImageExpirationTimeout: '90:00:00:00',
  MongoDBURI: 'mongodb://localhost/',
  MongoDB: 'Shifter',
  Broker: 'redis://localhost/',
  DefaultOstCount: '16',
  DefaultLustreReplication: '1',
  CacheDirectory: 'cache',
  ExpandDirectory: 'expand',
  Metrics: true,
  Authentication: 'munge',
  ImportUsers: ['root'],
  ConverterOptions: { squashfs: ['-no-xattrs', '-comp', 'gzip'] },
  Locations: {
    'registry-1.docker.io': { remotetype: 'dockerv2', authentication: 'http' },
    'localhost:5000': {
      remotetype: 'dockerv2',
      url: 'https://localhost:5000',
      authentication: 'http',
      authMethod: 'basic',
      sslcacert: 'local.crt',
    },
  },
  Platforms: {
    mycluster: {
      mungeSocketPath: '/var/run/munge/munge.socket.2',
      accesstype: 'local',
      admins: ['root'],
      usergroupService: 'unused',
      use_external: true,
      policy_file: '/etc/containers/policy.json',
      local: { imageDir: '/images' },
    },
    other: {
      mungeSocketPath: '/var/run/munge/other.socket',
      accesstype: 'remote',
      admins: ['root'],
      host: ['mycluster01', 'mycluster02'],
      ssh: { username: 'shifter', key: '/home/shifter/.ssh/ssh.key', imageDir: '/images' },
    },
  },
}

function writeConfig(imagemanager: unknown, settings: object = {}) {
  const folder = temporaryFolder()
  mkdirSync(join(folder, 'etc'))
  writeFileSync(join(folder, 'etc/imagemanager.json'), JSON.stringify(imagemanager))
  writeFileSync(join(folder, 'etc/local.crt'), '')
  const gateways = { shifter: { port: 0, config: 'etc/imagemanager.json', ...settings } }
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ datadir: 'data', port: 0, gateways }))
  return folder
}

test('a documented imagemanager.json is read as it is, and MongoDB is not missed', async () => {
  const folder = writeConfig(DOCUMENTED)
  const flags = () => ['-s', '-c', join(folder, 'config.json')]
  const server = await startServer({ flags })
  const { port } = await announcement(server)
  const root = await ask({ url: `http://127.0.0.1:${port}` }, 'GET', '/', { as: null })
  expect(root).toMatchObject({ status: 200, text: '{lookup,pull,expire,list}' })
})

describe('what is wrong with it is said at the start', () => {
  const { mycluster, other } = DOCUMENTED.Platforms
  test.each([
    [{ Locations: undefined }, 'Locations: expected an object {NAME: {"url": ...}}'],
    [{ Platforms: {} }, 'Platforms: expected at least one platform'],
    [{ DefaultImageLocation: 'x' }, 'DefaultImageLocation: expected one of the Locations, found "x"'],
    [
      { DefaultImageFormat: 'ext4' },
      'DefaultImageFormat: expected "squashfs", the only format that is supported',
    ],
    [{ ImageExpirationTimeout: '90 days' }, 'ImageExpirationTimeout: expected "days:hours:minutes:seconds"'],
    [{ Authentication: 'none' }, 'Authentication: expected "munge" or "mock"'],
    [{ WorkerThreads: 0 }, 'WorkerThreads: '],
    [
      { Platforms: { a: { ...mycluster, mungeSocketPath: undefined } } },
      'Platforms.a.mungeSocketPath: expected the socket of its munged',
    ],
    [{ Platforms: { a: { ...mycluster, accesstype: 'x' } } }, 'Platforms.a.accesstype: expected a platform'],
    [
      { Platforms: { a: { ...other, host: ['-oProxyCommand=x'] } } },
      'Platforms.a.host.0: expected a word that does not begin with "-"',
    ],
    [
      { Locations: { 'registry-1.docker.io': { sslcacert: 'none.crt' } } },
      'Locations.registry-1.docker.io.sslcacert: file none.crt does not exist',
    ],
  ])('%j', async (change, message) => {
    const folder = writeConfig({ ...DOCUMENTED, ...change })
    const { code, stderr } = await runProgram('-s', '-c', join(folder, 'config.json'))
    expect(code).not.toBe(0)
    expect(stderr).toContain(message)
  })

  test('a file that is not JSON, and one that is not there', async () => {
    const folder = writeConfig(DOCUMENTED)
    writeFileSync(join(folder, 'etc/imagemanager.json'), '{ "password": s3cret }')
    const broken = await runProgram('-s', '-c', join(folder, 'config.json'))
    expect(broken.stderr).toContain(`${folder}/etc/imagemanager.json: not valid JSON`)
    expect(broken.stderr).not.toContain('s3cret')
    const missing = writeConfig(DOCUMENTED, { config: 'none.json' })
    expect((await runProgram('-s', '-c', join(missing, 'config.json'))).stderr).toContain('none.json')
  })
})

describe('mock authentication', () => {
  const mock = { ...DOCUMENTED, Authentication: 'mock' }

  test.each(['0.0.0.0', '::', '192.0.2.1', 'localhost.example.com'])(
    'does not start on %s',
    async address => {
      const folder = writeConfig(mock, { address })
      const { code, stderr } = await runProgram('-s', '-c', join(folder, 'config.json'))
      expect(code).not.toBe(0)
      expect(stderr).toContain(
        `Authentication "mock" verifies no credentials: ${address} is not a loopback address`,
      )
    },
  )

  test('is on loopback by itself, wherever the server is', async () => {
    const folder = writeConfig(mock)
    const own = {
      datadir: 'data',
      port: 0,
      address: '0.0.0.0',
      gateways: { shifter: { port: 0, config: mock } },
    }
    writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...own, datadir: join(folder, 'data') }))
    writeFileSync(join(folder, 'local.crt'), '')
    const server = await startServer({ flags: () => ['-s', '-c', join(folder, 'config.json')] })
    expect((await announcement(server)).msg).toContain('on 127.0.0.1, port')
  })
})
