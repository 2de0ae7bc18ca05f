import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'

/** Programs of the system that the gateway runs. None gets a secret among its arguments. */

export interface Outcome {
  /** -1 if it did not start or was ended by a signal. */
  code: number
  stdout: string
  stderr: string
}

export interface ProgramOptions {
  /** Milliseconds; then it is ended. */
  timeout: number
  signal?: AbortSignal | undefined
}

/** The most of its output that is kept. */
const MOST_OUTPUT = 1024 * 1024

/** Runs a program to its end, with that standard input. Rejects with the signal's reason when that fires. */
export async function runProgram(
  program: string,
  args: readonly string[],
  { input = '', ...options }: ProgramOptions & { input?: string },
): Promise<Outcome> {
  options.signal?.throwIfAborted()
  const child = spawn(program, args)
  // A program that does not read its input is no failure.
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  return watch(child, options, () => child.kill('SIGKILL'))
}

/**
 * Ends the program when the standard input of the shell closes, and that is when this process ends, however it
 * ends: nothing goes on writing to where the next start cleans up.
 */
const SUPERVISOR = `
exec 3<&0
(exec "$@" 3<&- </dev/null) & child=$!
{ cat <&3; kill -9 $child; } >/dev/null 2>&1 & watch=$!
exec 3<&-
wait $child; code=$?
kill $watch 2>/dev/null
exit $code`

/** Runs a program that must not outlive this one. Its standard input is empty. */
export async function runSupervised(
  program: string,
  args: readonly string[],
  options: ProgramOptions,
): Promise<Outcome> {
  options.signal?.throwIfAborted()
  const child = spawn('/bin/sh', ['-c', SUPERVISOR, 'sh', program, ...args])
  const letGo = () => child.stdin.destroy()
  child.stdin.on('error', () => {})
  child.on('exit', letGo)
  return watch(child, options, letGo)
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

/** The reason that a program gave, in one line. */
export function reasonOf({ code, stderr, stdout }: Outcome): string {
  const line = (stderr.trim() || stdout.trim()).split('\n').at(-1)!
  return `${line.replace(/\p{Cc}/gu, ' ').slice(0, 300) || 'no reason given'} (exit code ${code})`
}

/** Removes a folder with all that is in it, also what its owner made itself unable to remove. */
export async function removeTree(path: string) {
  if (!existsSync(path)) return
  await runProgram('chmod', ['-R', 'u+rwX', path], { timeout: 600_000 })
  await rm(path, { recursive: true, force: true })
}
