import { rmSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { call } from './api.ts'
import { type ServerOptions, startServer, type TestServer } from './server.ts'

/** Starts one server for all tests of the file or the group that calls it. `prepare` gets it before the first. */
export function shareServer(
  prepare: (server: TestServer) => void | Promise<void>,
  options: ServerOptions = {},
) {
  let server: TestServer | undefined

  beforeAll(async () => {
    server = await startServer({ ...options, keep: true })
    await prepare(server)
  })

  afterAll(async () => {
    if (!server) return
    await server.kill()
    rmSync(server.folder, { recursive: true, force: true })
  })
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
