import { Agent, request as ask, type IncomingMessage, type ServerResponse } from 'node:http'
import { onTestFinished } from 'vitest'
import { startSource, type TestSource } from './source.ts'

/** A way to a server on which only so many files pass: what comes after waits until more are let through. */
export interface Gate extends TestSource {
  /** Lets so many more files through. */
  open(files: number): void
  /** How many files are being asked for and have to wait. */
  waiting(): number
}

export async function startGate(to: { url: string }): Promise<Gate> {
  const agent = new Agent({ keepAlive: true })
  onTestFinished(() => agent.destroy())
  const queue = new Set<() => void>()
  let free = 0
  const pass = (request: IncomingMessage, response: ServerResponse) => {
    const { method, headers } = request
    const forwarded = ask(to.url + request.url, { method: method!, headers, agent }, answer => {
      response.writeHead(answer.statusCode!, answer.headers)
      answer.pipe(response)
    })
    forwarded.on('error', () => response.destroy())
    forwarded.end()
  }
  const source = await startSource((request, response) => {
    if (!request.url!.includes('/file')) return pass(request, response)
    if (free > 0) {
      free--
      return pass(request, response)
    }
    const go = () => pass(request, response)
    queue.add(go)
    // Who was killed while it waited takes nobody's place.
    response.on('close', () => queue.delete(go))
  })
  return {
    ...source,
    open: files => {
      free += files
      for (const go of queue) {
        if (free === 0) return
        free--
        queue.delete(go)
        go()
      }
    },
    waiting: () => queue.size,
  }
}
