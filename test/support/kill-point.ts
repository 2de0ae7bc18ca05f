import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { PATIENCE } from './patience.ts'
import { type TestServer, temporaryFolder } from './server.ts'

const HOOK = new URL('kill-point.mjs', import.meta.url).pathname

/** Runs work on a server that is killed before the first change of names in image folders, then before the second ... */
export class KillPoint {
  readonly #file = join(temporaryFolder(), 'left')

  /** For the server. */
  get env() {
    return { NODE_OPTIONS: `--import=${HOOK}`, KILL_POINT: this.#file }
  }

  /** False if the work was done before the server came to the point; its last argument counts from 0. */
  async kills(server: TestServer, work: () => Promise<unknown>, point: number): Promise<boolean> {
    writeFileSync(this.#file, String(point))
    const isKilled = server.exited.then(() => true)
    try {
      return await Promise.race([isKilled, work().then(() => false)])
    } catch (error) {
      // A connection that breaks off is noticed before the end of the process.
      const timeout = new Promise<never>((_, reject) => setTimeout(reject, PATIENCE, error).unref())
      return await Promise.race([isKilled, timeout])
    } finally {
      rmSync(this.#file, { force: true })
    }
  }

  /** Does the work once for each point, and a last time to its end. `start` starts again what was killed. */
  async killAtEach(
    first: TestServer,
    start: (folder: string) => Promise<TestServer>,
    work: (server: TestServer) => Promise<unknown>,
    check: (server: TestServer, point: number) => Promise<unknown>,
  ) {
    let server = first
    for (let point = 0; ; point++) {
      if (!(await this.kills(server, () => work(server), point))) {
        await check(server, point)
        expect(point, 'points at which it was killed').toBeGreaterThan(1)
        return
      }
      server = await start(server.folder)
      await check(server, point)
    }
  }
}
