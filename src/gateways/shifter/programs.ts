import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'

/** Runs programs of this host. Secrets must not be among their arguments, which other users can see. */

export interface Outcome {
  /** Exit code; -1 if the program did not start or was ended by a signal. */
  code: number
  stdout: string
  stderr: string
}

export interface ProgramOptions {
  /** Milliseconds after which the program is killed. */
  timeout: number
  signal?: AbortSignal | undefined
}

/** Characters of each output that are stored. */
const MOST_OUTPUT = 1024 * 1024

/** Runs a program with `input` as its standard input. Rejects with the reason of the signal when it fires. */
export async function runProgram(
  program: string,
  args: readonly string[],
  { input = '', ...options }: ProgramOptions & { input?: string },
): Promise<Outcome> {
  options.signal?.throwIfAborted()
  const child = spawn(program, args)
  // A program may end without reading its input.
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  return watch(child, options, () => child.kill('SIGKILL'))
}

/**
 * Kills the program when the standard input of the shell closes, which happens whenever this process ends. So no
 * program still writes to the folders that the next start cleans up.
 */
const SUPERVISOR = `
exec 3<&0
(exec "$@" 3<&- </dev/null) & child=$!
{ cat <&3; kill -9 $child; } >/dev/null 2>&1 & watch=$!
exec 3<&-
wait $child; code=$?
kill $watch 2>/dev/null
exit $code`

/** Runs a program that must not outlive this process. Its standard input is empty. Rejects as `runProgram` does. */
export async function runSupervised(
  program: string,
  args: readonly string[],
  options: ProgramOptions,
): Promise<Outcome> {
  options.signal?.throwIfAborted()
  const child = spawn('/bin/sh', ['-c', SUPERVISOR, 'sh', program, ...args])
  const end = () => child.stdin.destroy()
  child.stdin.on('error', () => {})
  child.on('exit', end)
  return watch(child, options, end)
}

async function watch(
  child: ChildProcessWithoutNullStreams,
  { timeout, signal }: ProgramOptions,
  end: () => void,
): Promise<Outcome> {
  const timer = setTimeout(end, timeout)
  signal?.addEventListener('abort', end, { once: true })
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (chunk: string) => {
      if (output[name].length < MOST_OUTPUT) output[name] += chunk
    })
  }
  const code = await new Promise<number>(resolve => {
    child.on('error', error => {
      output.stderr += error.message
      resolve(-1)
    })
    child.on('close', status => resolve(status ?? -1))
  })
  clearTimeout(timer)
  signal?.removeEventListener('abort', end)
  signal?.throwIfAborted()
  return { code, ...output }
}

/** Returns the last line of a program's messages and its exit code, in one line. */
export function reasonOf({ code, stderr, stdout }: Outcome): string {
  const line = (stderr.trim() || stdout.trim()).split('\n').at(-1)!
  return `${line.replace(/\p{Cc}/gu, ' ').slice(0, 300) || 'no reason given'} (exit code ${code})`
}

/** Removes a folder with its content, including folders without write permission. */
export async function removeTree(path: string) {
  if (!existsSync(path)) return
  await runProgram('chmod', ['-R', 'u+rwX', path], { timeout: 600_000 })
  await rm(path, { recursive: true, force: true })
}
