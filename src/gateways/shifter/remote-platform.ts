import { join } from 'node:path'
import type { RemoteSettings } from './imagemanager.ts'
import { mayReadFile, type Platform, partialName, type Reader } from './platform.ts'
import { type Outcome, reasonOf, runSupervised } from './programs.ts'

/** Defaults: options of the configuration come before them, and ssh uses the first value of an option. */
const OPTIONS = ['BatchMode=yes', 'ConnectTimeout=15', 'ServerAliveInterval=15', 'ServerAliveCountMax=4']
const COMMAND_TIMEOUT = 60_000
/** For commands that read or write a whole image. A dead connection is detected earlier. */
const TRANSFER_TIMEOUT = 6 * 3600_000

const COMMON = OPTIONS.flatMap(option => ['-o', option])

/** A folder of another host, accessed with ssh and scp. Its commands may be those of GNU or BusyBox. */
export class RemotePlatform implements Platform {
  readonly #folder: string
  readonly #ssh: readonly string[]
  readonly #scp: readonly string[]
  readonly #login: string

  constructor({ host, ssh }: RemoteSettings) {
    const key = ssh.key ? ['-i', ssh.key] : []
    this.#folder = ssh.imageDir
    this.#login = `${ssh.username}@${host[0]}`
    this.#ssh = [...key, ...ssh.sshCmdOptions, ...COMMON, this.#login]
    this.#scp = ['-q', ...key, ...ssh.scpCmdOptions, ...COMMON]
  }

  async has(names: readonly string[], signal: AbortSignal) {
    const tests = names.map(name => `test -e ${this.#quoted(name)}`)
    const outcome = await this.#run(tests.join(' && '), signal)
    if (outcome.code > 1 || outcome.code < 0) throw this.#failure('look for the image', outcome)
    return outcome.code === 0
  }

  async freeSpace(signal: AbortSignal) {
    const { stdout } = await this.#runOrThrow(
      'ask for the free space',
      `df -Pk ${quote(this.#folder)}`,
      signal,
    )
    const kilobytes = Number(stdout.trim().split('\n').at(-1)!.split(/\s+/)[3])
    if (!Number.isFinite(kilobytes)) throw new Error(`${this.#login}: cannot parse the output of df`)
    return kilobytes * 1024
  }

  async deliver(path: string, name: string, signal: AbortSignal) {
    const target = `${this.#login}:${join(this.#folder, partialName(name))}`
    const options = { timeout: TRANSFER_TIMEOUT, signal }
    const outcome = await runSupervised('scp', [...this.#scp, path, target], options)
    if (outcome.code !== 0) throw this.#failure('copy the image', outcome)
    await this.commit(name, name, signal)
  }

  async remove(names: readonly string[], signal: AbortSignal) {
    const all = names.map(name => this.#quoted(name))
    await this.#runOrThrow('remove an image', `rm -f ${all.join(' ')}`, signal)
  }

  async copyIn(path: string, name: string, reader: Reader, signal: AbortSignal) {
    const [source, target] = [quote(path), this.#quoted(partialName(name))]
    // Before the copy, so that a change during it is seen as another version later.
    const found = await this.#stat(path, signal)
    if (!found) throw new Error('not a regular file that the gateway can read on the system')
    if (!mayReadFile(found.access, reader)) throw new Error('you may not read the file')
    const copy = `umask 077 && rm -f ${target} && cp -L ${source} ${target} && sha256sum ${target}`
    const { stdout } = await this.#runOrThrow('copy the file', copy, signal, TRANSFER_TIMEOUT)
    // sha256sum writes a backslash first if it escapes the name.
    const [, id] = /^\\?([0-9a-f]{64}) /.exec(stdout) ?? []
    if (!id) throw new Error(`${this.#login}: cannot parse the output of sha256sum`)
    return { id, version: found.version }
  }

  async versionOf(path: string, signal: AbortSignal) {
    return (await this.#stat(path, signal))?.version
  }

  /** Resolves to the access and the version of a file; undefined if there is no file. */
  async #stat(path: string, signal: AbortSignal) {
    const file = quote(path)
    const outcome = await this.#run(`test -f ${file} && stat -L -c '%u %g %a %s %i %y %z' ${file}`, signal)
    if (outcome.code === 1) return undefined
    if (outcome.code !== 0) throw this.#failure('look at the file', outcome)
    const [uid, gid, mode, ...version] = outcome.stdout.trim().split(' ') as [string, string, string]
    const access = { uid: Number(uid), gid: Number(gid), mode: Number.parseInt(mode, 8) }
    return { access, version: version.join(' ') }
  }

  async commit(name: string, finalName: string, signal: AbortSignal) {
    const [partial, final] = [this.#quoted(partialName(name)), this.#quoted(finalName)]
    // Not every `sync` accepts a file name.
    const sync = `{ sync ${partial} 2>/dev/null || sync; }`
    const script = `chmod 600 ${partial} && ${sync} && mv -f ${partial} ${final}`
    await this.#runOrThrow('rename the image', script, signal)
  }

  #quoted(name: string) {
    return quote(join(this.#folder, name))
  }

  #run(script: string, signal: AbortSignal, timeout = COMMAND_TIMEOUT): Promise<Outcome> {
    // The login shell on the system may be any shell.
    return runSupervised('ssh', [...this.#ssh, `sh -c ${quote(script)}`], { timeout, signal })
  }

  async #runOrThrow(what: string, script: string, signal: AbortSignal, timeout?: number): Promise<Outcome> {
    const outcome = await this.#run(script, signal, timeout)
    if (outcome.code !== 0) throw this.#failure(what, outcome)
    return outcome
  }

  #failure(what: string, outcome: Outcome) {
    return new Error(`cannot ${what} on ${this.#login}: ${reasonOf(outcome)}`)
  }
}

/** Quotes a text as one word for a shell. */
const quote = (text: string) => `'${text.replaceAll("'", "'\\''")}'`
