import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { PATIENCE } from './patience.ts'
import { PROGRAM } from './server.ts'

export interface Outcome {
  code: number | null
  stdout: string
  stderr: string
}

export interface RunOptions {
  input?: string
  cwd?: string
  env?: Record<string, string>
  /** Milliseconds; default `PATIENCE`. */
  timeout?: number
}

/** Runs a program to its end, and never for longer than the timeout. */
export function run(program: string, args: string[], options: RunOptions = {}): Promise<Outcome> {
  const { input = '', cwd, env, timeout = PATIENCE } = options
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, env: { ...process.env, ...env }, timeout })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', chunk => {
      stdout += chunk
    })
    child.stderr.on('data', chunk => {
      stderr += chunk
    })
    child.on('error', reject)
    child.on('close', code => resolve({ code, stdout, stderr }))
    // A program that does not read its input is no failure.
    child.stdin.on('error', () => {})
    child.stdin.end(input)
  })
}

/** Runs the built program to its end. */
export const imgapi = (args: string[], options?: RunOptions) =>
  run(process.execPath, [PROGRAM, ...args], options)

/** Asks until there is an answer that is neither undefined nor false; fails after `PATIENCE`. */
export async function eventually<T>(what: string, ask: () => T | Promise<T>): Promise<NonNullable<T>> {
  const deadline = Date.now() + PATIENCE
  for (;;) {
    const answer = await ask()
    if (answer !== undefined && answer !== false && answer !== null) return answer as NonNullable<T>
    if (Date.now() > deadline) throw new Error(`it never came to this: ${what}`)
    await sleep(20)
  }
}
