import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { endWithTest } from './munge.ts'
import { run } from './run.ts'
import { temporaryFolder } from './server.ts'
import { until } from './until.ts'

/** A real sshd on loopback that lets one key of the test in, as the user who runs the tests. */

export interface Sshd {
  port: number
  username: string
  key: string
  /** Options that make ssh and scp know its host key, and nothing of the machine's. */
  options: string[]
  /** Everything it has said. */
  log(): string
}

export async function startSshd(): Promise<Sshd> {
  const folder = temporaryFolder()
  const file = (name: string) => join(folder, name)
  for (const name of ['host', 'user']) {
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', file(name)])
  }
  writeFileSync(file('authorized'), readFileSync(file('user.pub')), { mode: 0o600 })
  const port = await freePort()
  writeFileSync(file('known'), `[127.0.0.1]:${port} ${readFileSync(file('host.pub'), 'utf8')}`)
  const config = [
    'ListenAddress 127.0.0.1',
    `Port ${port}`,
    `HostKey ${file('host')}`,
    `AuthorizedKeysFile ${file('authorized')}`,
    'PidFile none',
    'StrictModes no',
    'UsePAM no',
    'PasswordAuthentication no',
    // A pull makes a connection for each of its steps.
    'MaxStartups 100',
    'Subsystem sftp internal-sftp',
  ]
  writeFileSync(file('config'), config.map(line => `${line}\n`).join(''))
  // Where the package's own start has not been.
  if (userInfo().uid === 0) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 })
  const sshd = spawn('/usr/sbin/sshd', ['-D', '-e', '-f', file('config')])
  let log = ''
  sshd.stderr.on('data', chunk => {
    log += chunk
  })
  endWithTest(sshd)
  await until('sshd listens', () => {
    if (sshd.exitCode !== null) throw new Error(log)
    return log.includes('Server listening')
  })
  // The default key exchange is post-quantum, and takes its time.
  const quick = ['-o', 'KexAlgorithms=curve25519-sha256']
  const options = ['-F', 'none', ...quick, '-o', `UserKnownHostsFile=${file('known')}`, '-o', `Port=${port}`]
  return { port, username: userInfo().username, key: file('user'), options, log: () => log }
}

/** A system of the Shifter gateway whose images are in that folder behind sshd. */
export function remotePlatform({ username, key, options }: Sshd, imageDir: string) {
  mkdirSync(imageDir)
  const ssh = { username, key, imageDir, sshCmdOptions: options, scpCmdOptions: options }
  return { accesstype: 'remote', admins: ['root'], host: ['127.0.0.1'], ssh }
}

/** A port on which no process listens. */
export const freePort = () =>
  new Promise<number>(resolve => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number }
      probe.close(() => resolve(port))
    })
  })
