import { mkdirSync, mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeImages } from './datadir.mjs'
import { startNginx } from './nginx.mjs'
import { findProgram } from './processes.mjs'
import { startServer } from './server.mjs'

export const HOW_TO_GET = {
  nginx: 'apt-get install nginx-light, or pkgin install nginx',
  wrk: 'apt-get install wrk, or https://github.com/wg/wrk',
  curl: 'apt-get install curl',
}

/** What the rows work with: programs, a folder that goes away, servers that are stopped at the end of a row. */
export class Bench {
  tiny
  /** Folder for CPU profiles of the servers. */
  profile
  /** Paths of the programs that are there. */
  programs = Object.fromEntries(Object.keys(HOW_TO_GET).map(name => [name, findProgram(name)]))
  folder = mkdtempSync(join(tmpdir(), 'imgapi-bench-'))
  #running = []
  #datadirs = new Map()

  constructor({ tiny, profile }) {
    this.tiny = tiny
    this.profile = profile
    process.on('exit', () => rmSync(this.folder, { recursive: true, force: true }))
  }

  /** The figure of a real run, or the one of a tiny run. */
  scale(real, tiny) {
    return this.tiny ? tiny : real
  }

  missing(row) {
    return row.needs.filter(name => !this.programs[name])
  }

  /** Throws if the disk has less room than that. */
  needRoom(bytes) {
    const { bavail, bsize } = statfsSync(this.folder)
    if (bavail * bsize < bytes) {
      throw new Error(`${this.folder} has ${bavail * bsize} bytes free, this needs ${bytes}; set TMPDIR`)
    }
  }

  newFolder(name) {
    const path = join(this.folder, name)
    mkdirSync(path, { recursive: true })
    return path
  }

  /** A data directory with that many images, for rows that share it and change no more than a description. */
  datadirOf(count) {
    let path = this.#datadirs.get(count)
    if (!path) {
      // A folder, a manifest and a file without bytes each.
      this.needRoom(count * 16_384)
      path = join(this.folder, `data-${count}`)
      writeImages(path, count)
      this.#datadirs.set(count, path)
    }
    return path
  }

  /** `settings`: more of its config. */
  async server(datadir, settings) {
    const server = await startServer(this.folder, datadir, { profile: this.profile, settings })
    this.#running.push(server)
    return server
  }

  async nginx(root) {
    const nginx = await startNginx(this.programs.nginx, this.folder, root)
    this.#running.push(nginx)
    return nginx
  }

  async stopAll() {
    await Promise.all(this.#running.splice(0).map(server => server.stop()))
  }

  async close() {
    await this.stopAll()
    await rm(this.folder, { recursive: true, force: true })
  }
}
