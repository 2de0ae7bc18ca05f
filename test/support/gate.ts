import { request as ask, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { startSource, type TestSource } from './source.ts'

/** A way to a server on which only so many files pass, in or out: what comes after waits for the gate to open. */
export interface Gate extends TestSource {
  /** Lets so many more files through. */
  open(files: number): void
  /** How many files are being asked for and have to wait. */
  waiting(): number
  /** What answers in place of the server, from now on; nothing: the server again. */
  instead(listener: RequestListener | undefined): void
}

export async function startGate(to: { url: string }): Promise<Gate> {
  const queue = new Set<() => void>()
  let free = 0
  let impostor: RequestListener | undefined
  const pass = ({ method, headers, url }: IncomingMessage, body: Buffer, response: ServerResponse) => {
    const forwarded = ask(to.url + url, { method: method!, headers }, answer => {
      response.writeHead(answer.statusCode!, answer.headers)
      answer.pipe(response)
    })
    forwarded.on('error', () => response.destroy())
    forwarded.end(body)
  }
  const receive = async (request: IncomingMessage, response: ServerResponse) => {
    // All of it first: the end of a connection without a reader is not noticed.
    const body = await buffer(request)
    const go = () => pass(request, body, response)
    if (!request.url!.includes('/file')) return go()
    if (free > 0) {
      free--
      return go()
    }
    queue.add(go)
    // A process that was killed while it waited takes no place.
    response.on('close', () => queue.delete(go))
  }
  const source = await startSource((request, response) => {
    if (impostor) return impostor(request, response)
    receive(request, response).catch(() => response.destroy())
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
    instead: listener => {
      impostor = listener
    },
  }
}
