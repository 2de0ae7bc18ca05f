import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import packageJson from '../../package.json' with { type: 'json' }
import { call } from '../support/api.ts'
import { imgapi } from '../support/run.ts'
import { startServer, temporaryFolder } from '../support/server.ts'

describe('the server starts with the words of its predecessor and with its own', () => {
  const spellings: Record<string, (file: string) => string[]> = {
    '-s -c FILE': file => ['-s', '-c', file],
    '-c FILE -s': file => ['-c', file, '-s'],
    '-s -c=FILE': file => ['-s', `-c=${file}`],
    '--s --c FILE': file => ['--s', '--c', file],
    '--s=true --c=FILE': file => ['--s=true', `--c=${file}`],
    'serve -c FILE': file => ['serve', '-c', file],
    'serve --config FILE': file => ['serve', '--config', file],
    'serve --config=FILE': file => ['serve', `--config=${file}`],
  }
  test.each(Object.entries(spellings))('imgapi %s', async (_spelling, flags) => {
    const server = await startServer({ flags })
    expect((await call(server, 'GET', '/ping')).body).toMatchObject({ imgapi: true, pid: server.pid })
  })
})

test.each([
  ['imgapi -s', ['-s']],
  ['imgapi serve', ['serve']],
])('%s reads .imgapi.json in the home directory', async (_name, args) => {
  const home = temporaryFolder()
  const server = await startServer({
    env: { HOME: home },
    flags: configPath => {
      mkdirSync(home, { recursive: true })
      writeFileSync(
        join(home, '.imgapi.json'),
        JSON.stringify({ datadir: 'images-at-home', port: 0, serverName: `home of ${configPath}` }),
      )
      return args
    },
  })
  expect((await call(server, 'GET', '/ping')).headers.get('server')).toBe(`home of ${server.configPath}`)
  expect(existsSync(join(home, 'images-at-home'))).toBe(true)
})

test('--version prints the version of package.json, and nothing else', async () => {
  for (const flag of ['--version', '-v']) {
    expect(await imgapi([flag])).toEqual({ code: 0, stdout: `${packageJson.version}\n`, stderr: '' })
  }
})

test('--help names every command, and `imgapi -s` too, which is how the predecessor was started', async () => {
  for (const flag of ['--help', '-h', 'help']) {
    const { code, stdout, stderr } = await imgapi([flag])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    for (const word of ['serve', 'check', 'passwd', 'imgapi -s -c']) expect(stdout).toContain(word)
  }
})

test('each command has help, with its flags and an example to copy', async () => {
  for (const command of ['serve', 'check', 'passwd']) {
    const byWord = await imgapi(['help', command])
    const byFlag = await imgapi([command, '--help'])
    expect(byWord).toEqual(byFlag)
    expect(byWord).toMatchObject({ code: 0, stderr: '' })
    expect(byWord.stdout).toContain(`imgapi ${command}`)
    expect(byWord.stdout).toContain('EXAMPLES')
  }
  expect((await imgapi(['help', 'serve'])).stdout).toContain('$HOME/.imgapi.json')
})

test('help that does not go to a terminal has no colours in it', async () => {
  const { stdout } = await imgapi(['help', 'serve'], { env: { FORCE_COLOR: '1' } })
  expect(stdout).toContain('USAGE')
  expect(stdout).not.toContain('\u001b')
})

describe('words that mean nothing are refused with exit code 2 and a message that names them', () => {
  test.each([
    [[], 'command'],
    [['srve'], 'srve'],
    [['constructor'], 'constructor'],
    [['help', 'srve'], 'srve'],
    [['-x'], '-x'],
    [['--prot', '80'], '--prot'],
    [['-c', 'config.json'], '-c'],
    [['-s', '--nope'], '--nope'],
    [['-s', '-c'], '-c'],
    [['-s', '-c', 'config.json', 'more'], 'more'],
    [['serve', '--port', '80'], '--port'],
    [['serve', 'config.json'], 'config.json'],
    [['passwd', 'secret'], 'unexpected argument'],
    [['check', '--repair=maybe'], '--repair'],
  ])('imgapi %j', async (args, named) => {
    const { code, stdout, stderr } = await imgapi(args, { cwd: temporaryFolder() })
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(/^imgapi: /)
    expect(stderr.split('\n')[0]).toContain(named)
    expect(stderr).toContain('imgapi --help')
  })
})
