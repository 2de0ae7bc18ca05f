import { rmSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { call } from './api.ts'
import { type ServerOptions, startServer, type TestServer } from './server.ts'

/** Starts one server for all tests of the file or the group that calls it. `prepare` gets it before the first. */
export function shareServer(
  prepare: (server: TestServer) => void | Promise<void>,
  options: ServerOptions = {},
) {
  const getServer = shared(startServer)
  beforeAll(async () => prepare(await getServer(options)))
}

/** The same, and after every test the server must answer and have logged no error. */
export function shareUnshakenServer(
  prepare: (server: TestServer) => void | Promise<void>,
  options: ServerOptions = {},
) {
  let server: TestServer
  shareServer(started => {
    server = started
    return prepare(started)
  }, options)

  afterEach(async () => {
    expect((await call(server, 'GET', '/ping')).body.ping).toBe('pong')
    expect(server.log().filter(entry => entry.level >= 50)).toEqual([])
  })
}

/**
 * Returns what starts a server as `start` does, once for all tests of the file or the group that ask for one with
 * the same options. It is for tests that look at images of their own alone: such a test may not stop the server, nor
 * expect anything of whole lists, of the log, or of the data directory.
 */
export function shared<S extends TestServer>(start: (options: ServerOptions) => Promise<S>) {
  const servers = new Map<string, Promise<S>>()

  afterAll(async () => {
    for (const server of await Promise.allSettled(servers.values())) {
      if (server.status === 'rejected') continue
      await server.value.kill()
      rmSync(server.value.folder, { recursive: true, force: true })
    }
    servers.clear()
  })

  return (options: ServerOptions = {}): Promise<S> => {
    const key = JSON.stringify(options)
    const server = servers.get(key) ?? start({ ...options, keep: true })
    servers.set(key, server)
    return server
  }
}
