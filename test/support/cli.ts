import { spawn } from 'node:child_process'
import { type Outcome, type RunOptions, run } from './run.ts'
import { PASSWORD, PROGRAM, type TestServer, USER } from './server.ts'

/** The program as an operator runs it, with the server and the credentials in its environment. */

export const credentials = (server: Pick<TestServer, 'url'>) => ({
  IMGAPI_URL: server.url,
  IMGAPI_USER: USER,
  IMGAPI_PASSWORD: PASSWORD,
})

export const cli = (
  server: Pick<TestServer, 'url'>,
  args: string[],
  options: RunOptions = {},
): Promise<Outcome> =>
  run(process.execPath, [PROGRAM, ...args], {
    ...options,
    env: { ...credentials(server), ...options.env },
  })

/** What must have gone well. */
export async function done(outcome: Promise<Outcome>): Promise<Outcome> {
  const { code, stdout, stderr } = await outcome
  if (code !== 0) throw new Error(`exit code ${code}: ${stderr}${stdout}`)
  return { code, stdout, stderr }
}

/** Starts the program in the same way, for a test that does something before it ends. */
export function startCli(server: Pick<TestServer, 'url'>, args: string[]) {
  const env = { ...process.env, ...credentials(server) }
  const child = spawn(process.execPath, [PROGRAM, ...args], { env, stdio: ['ignore', 'ignore', 'pipe'] })
  let stderr = ''
  child.stderr.on('data', chunk => {
    stderr += chunk
  })
  const ended = new Promise<{ code: number | null; stderr: string }>(resolve => {
    child.on('close', code => resolve({ code, stderr }))
  })
  return { ended, stderr: () => stderr, signal: (name: NodeJS.Signals) => child.kill(name) }
}
