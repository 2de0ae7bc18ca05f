import { onTestFinished } from 'vitest'
import type { ScriptedRegistry } from './scripted-registry.ts'

/** Sends those bodies with so many bytes every 50 milliseconds, and others at once. */
export function drip(registry: ScriptedRegistry, isSlow: (path: string, body: Buffer) => boolean, bytes = 1) {
  registry.intercept = (path, response, body) => {
    if (!body || !isSlow(path, body)) return false
    const type = 'application/vnd.docker.distribution.manifest.v2+json'
    response.writeHead(200, { 'content-length': body.length, 'content-type': type })
    let sent = 0
    const timer = setInterval(() => {
      response.write(body.subarray(sent, sent + bytes))
      sent += bytes
      if (sent >= body.length) response.end()
    }, 50)
    response.on('close', () => clearInterval(timer))
    onTestFinished(() => clearInterval(timer))
    return true
  }
}
