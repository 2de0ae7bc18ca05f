import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** A real server process, of the built program, on a free port and a datadir of its own. */

export const PROGRAM = new URL('../../dist/imgapi.js', import.meta.url).pathname

export interface LogEntry {
  level: number
  msg: string
  [key: string]: unknown
}

export interface TestServer {
  url: string
  port: number
  pid: number
  folder: string
  datadir: string
  configPath: string
  /** Everything logged so far. */
  log(): LogEntry[]
  stderr(): string
  signal(signal: NodeJS.Signals): void
  /** Resolves to the exit code (null after a signal) when it has stopped. */
  exited: Promise<number | null>
  /** Asks it to stop and waits. */
  stop(): Promise<number | null>
  /** SIGKILL, and waits. */
  kill(): Promise<void>
}

export interface ServerOptions {
  /** Merged over the defaults of the tests. */
  config?: Record<string, unknown>
  /** Use again what another server left: its folder with datadir and config. */
  folder?: string
  /** Program and arguments before `-s -c FILE`, e.g. under a file-size limit. */
  command?: string[]
  /** What follows the program; default `-s -c FILE`. */
  flags?: (configPath: string) => string[]
  env?: Record<string, string>
  /** Keep it running after the test; the caller stops it. */
  keep?: boolean
}

export const USER = 'admin'
export const PASSWORD = 'correct horse'
export const AUTH = { authorization: `Basic ${Buffer.from(`${USER}:${PASSWORD}`).toString('base64')}` }

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'imgapi-test-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export async function startServer(options: ServerOptions = {}): Promise<TestServer> {
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), 'imgapi-test-'))
  const configPath = join(folder, 'config.json')
  const config = {
    datadir: 'data',
    port: 0,
    host: '127.0.0.1',
    userdb: [{ name: USER, password: PASSWORD }],
    ...options.config,
  }
  writeFileSync(configPath, JSON.stringify(config))
  const flags = options.flags ?? (file => ['-s', '-c', file])
  const [program, ...args] = options.command ?? [process.execPath, PROGRAM]
  const child = spawn(program!, [...args, ...flags(configPath)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
  })
  const server = await watch(child, folder, join(folder, config.datadir), configPath)
  if (!options.keep) {
    onTestFinished(async () => {
      await server.kill()
      if (!options.folder) rmSync(folder, { recursive: true, force: true })
    })
  }
  return server
}

async function watch(
  child: ChildProcess,
  folder: string,
  datadir: string,
  configPath: string,
): Promise<TestServer> {
  let stdout = ''
  let stderr = ''
  child.stdout?.setEncoding('utf8').on('data', chunk => {
    stdout += chunk
  })
  child.stderr?.setEncoding('utf8').on('data', chunk => {
    stderr += chunk
  })
  // `close`, not `exit`: by then all of its log has been read.
  const exited = new Promise<number | null>(resolve => child.on('close', code => resolve(code)))
  const entries: LogEntry[] = []
  let read = 0
  // Parses each line once: tests that wait for a line ask again and again, and a log has thousands.
  const log = () => {
    const end = stdout.lastIndexOf('\n') + 1
    const lines = stdout.slice(read, end).split('\n').slice(0, -1)
    entries.push(...lines.map(line => JSON.parse(line) as LogEntry))
    read = end
    return [...entries]
  }
  const port = await new Promise<number>((resolve, reject) => {
    const findPort = () => {
      const listening = log().find(entry => typeof entry.port === 'number')
      if (!listening) return
      child.stdout?.off('data', findPort)
      resolve(listening.port as number)
    }
    child.stdout?.on('data', findPort)
    child.on('error', reject)
    void exited.then(code => reject(new Error(`the server ended with ${code}: ${stderr}${stdout}`)))
  })
  exited.catch(() => {})
  const signal = (name: NodeJS.Signals) => child.kill(name)
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    pid: child.pid!,
    folder,
    datadir,
    configPath,
    log,
    stderr: () => stderr,
    signal,
    exited,
    stop: () => {
      signal('SIGTERM')
      return exited
    },
    kill: async () => {
      signal('SIGKILL')
      await exited
    },
  }
}
