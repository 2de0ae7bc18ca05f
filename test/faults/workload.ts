import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { expect } from 'vitest'
import { type Answer, call, manifest, sha1 } from '../support/api.ts'
import { namesIn } from '../support/folders.ts'
import { AUTH, type TestServer } from '../support/server.ts'
import { until } from '../support/until.ts'

/** What is known of an image: all that was acknowledged, or `undefined` for one that is not there. */
interface Known {
  name: string
  state: string
  file?: string
  icon?: string
  published?: string
}
type State = Known | undefined

/** An image as the clients know it. After a kill the one change under way may have happened or not. */
interface Subject {
  uuid: string
  state: State
  /** Set while a change is under way: what the image is under which UUID if it happens. */
  pending?: { uuid: string; state: State } | undefined
}

const ICON = { 'content-type': 'image/png' }

/** Clients that change images as fast as they can, and remember what they were told. */
export class Workload {
  acknowledged = 0
  readonly #subjects: Subject[] = []
  readonly #gone: string[] = []
  #random: number
  #wanted = 0

  constructor(seed: number) {
    this.#random = seed + 1
  }

  /** Runs until the server is gone. */
  async run(server: TestServer) {
    while (this.#subjects.length < 6) this.#subjects.push({ uuid: randomUUID(), state: undefined })
    this.#wanted = this.acknowledged + this.#number(20)
    await Promise.all(this.#subjects.map(subject => this.#runOne(server, subject)))
  }

  /** A random number of acknowledged changes and then a random number of milliseconds more. */
  async untilSomeAnswers() {
    await until('answers', () => this.acknowledged >= this.#wanted)
    const end = performance.now() + this.#number(12)
    await until('the moment', () => performance.now() >= end)
  }

  async #runOne(server: TestServer, subject: Subject) {
    for (;;) {
      const { path, method, body, headers, uuid, state } = this.#nextChange(subject)
      subject.pending = { uuid, state }
      let answer: Answer
      try {
        answer = await call(server, method, path, { body, ...(headers && { headers }) })
      } catch {
        return
      }
      if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`)
      if (subject.state && (!state || uuid !== subject.uuid)) this.#gone.push(subject.uuid)
      subject.pending = undefined
      subject.uuid = uuid
      subject.state = state && {
        ...state,
        ...(answer.body?.published_at && { published: answer.body.published_at }),
      }
      // A deleted image is never made again: deleted ones must stay deleted.
      if (!state) subject.uuid = randomUUID()
      this.acknowledged++
    }
  }

  #nextChange({ uuid, state }: Subject) {
    const path = `/images/${uuid}`
    if (!state) {
      const name = `image-${this.#number(1_000_000)}`
      const body = manifest({ v: 2, uuid, name })
      const next: State = { name, state: 'unactivated' }
      return { method: 'POST', path: `${path}?action=import`, body, uuid, state: next }
    }
    const isActive = state.state !== 'unactivated'
    const choice = this.#number(isActive ? 4 : 8)
    if (choice === 0) {
      const name = `renamed-${this.#number(1_000_000)}`
      return {
        method: 'POST',
        path: `${path}?action=update`,
        body: { name },
        uuid,
        state: { ...state, name },
      }
    }
    if (choice === 1) {
      const icon = this.#bytes(this.#number(20_000) + 1)
      const next = { ...state, icon: sha1(icon) }
      return { method: 'PUT', path: `${path}/icon`, headers: ICON, body: icon, uuid, state: next }
    }
    if (choice === 2 && isActive) return { method: 'DELETE', path, uuid, state: undefined }
    if (choice === 3 && isActive) {
      const next = { ...state, state: state.state === 'active' ? 'disabled' : 'active' }
      const action = next.state === 'active' ? 'enable' : 'disable'
      return { method: 'POST', path: `${path}?action=${action}`, uuid, state: next }
    }
    if (choice === 4 && state.file) {
      return { method: 'POST', path: `${path}?action=activate`, uuid, state: { ...state, state: 'active' } }
    }
    if (choice === 5) {
      const moved = randomUUID()
      return { method: 'POST', path: `${path}?action=update`, body: { uuid: moved }, uuid: moved, state }
    }
    const file = this.#bytes(
      this.#number(3) === 0 ? 1_500_000 + this.#number(2_000_000) : this.#number(90_000) + 1,
    )
    const next = { ...state, file: sha1(file) }
    return { method: 'PUT', path: `${path}/file?compression=none`, body: file, uuid, state: next }
  }

  /** Every image is as it was acknowledged; a change under way at the kill has happened whole or not at all. */
  async verify(server: TestServer, when: string) {
    for (const subject of this.#subjects) {
      const { uuid, state, pending } = subject
      const before = await this.#stateOf(server, uuid)
      const isBefore = isSame(before, state)
      subject.pending = undefined
      if (isBefore) {
        if (pending && pending.uuid !== uuid) {
          expect(await this.#stateOf(server, pending.uuid), `${when}: half of ${uuid}`).toBeUndefined()
        }
        continue
      }
      expect(
        pending,
        `${when}: ${uuid} is ${JSON.stringify(before)}, not ${JSON.stringify(state)}`,
      ).toBeDefined()
      const after = await this.#stateOf(server, pending!.uuid)
      const shown = `${when}: ${uuid} is ${JSON.stringify(before)}, was ${JSON.stringify(state)}`
      expect(isSame(after, pending!.state), `${shown}, changing to ${JSON.stringify(pending)}`).toBe(true)
      if (pending!.uuid !== uuid) expect(before, shown).toBeUndefined()
      if (state && (!pending!.state || pending!.uuid !== uuid)) this.#gone.push(uuid)
      subject.uuid = pending!.state ? pending!.uuid : randomUUID()
      subject.state = after
    }
    const { body } = await call(server, 'GET', '/images?state=all')
    const listed: string[] = body.map((image: { uuid: string }) => image.uuid)
    for (const uuid of this.#gone) expect(listed, `${when}: ${uuid} is back`).not.toContain(uuid)
    this.#verifyDisk(server, when)
  }

  /** Nothing in flight, no folder of an image that is not there, no file that no manifest names. */
  #verifyDisk({ datadir }: TestServer, when: string) {
    expect(namesIn(join(datadir, '.tmp')), when).toEqual([])
    const there = this.#subjects.filter(({ state }) => state)
    const folders = namesIn(datadir).filter(name => !name.startsWith('.'))
    expect(folders, when).toEqual(there.map(({ uuid }) => uuid).sort())
    for (const { uuid, state } of there) {
      const files = 1 + Number(state!.file !== undefined) + Number(state!.icon !== undefined)
      expect(namesIn(join(datadir, uuid)), `${when}: files of ${uuid}`).toHaveLength(files)
    }
  }

  async #stateOf(server: TestServer, uuid: string): Promise<State> {
    const { status, body } = await call(server, 'GET', `/images/${uuid}`)
    if (status === 404) return undefined
    expect(status, JSON.stringify(body)).toBe(200)
    const [file] = body.files
    const digest = async (what: string) => {
      const response = await fetch(`${server.url}/images/${uuid}/${what}`, { headers: AUTH })
      expect(response.status, `${what} of ${uuid}`).toBe(200)
      return sha1(new Uint8Array(await response.arrayBuffer()))
    }
    const content = file && (await digest('file'))
    if (file) expect(content, `the bytes of ${uuid}`).toBe(file.sha1)
    return {
      name: body.name,
      state: body.state,
      ...(file && { file: content }),
      ...(body.icon && { icon: await digest('icon') }),
      ...(body.published_at && { published: body.published_at }),
    }
  }

  #bytes(size: number): Buffer {
    const pattern = Buffer.alloc(64)
    for (let at = 0; at < 64; at += 4) pattern.writeUInt32LE(this.#number(2 ** 32), at)
    return Buffer.alloc(size, pattern)
  }

  /** From 0 up to but not including `end`: a linear congruential generator, so that a seed tells all. */
  #number(end: number): number {
    this.#random = (Math.imul(this.#random, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((this.#random / 2 ** 32) * end)
  }
}

/** The date of publication is the server's choice; once known it stays. */
const isSame = (actual: State, expected: State) =>
  actual?.name === expected?.name &&
  actual?.state === expected?.state &&
  actual?.file === expected?.file &&
  actual?.icon === expected?.icon &&
  (expected?.published === undefined || actual?.published === expected.published)
