import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { Agent, request } from 'node:http'
import { gunzipSync } from 'node:zlib'
import { LX, nameOf, roleOf } from './datadir.mjs'
import { sleep } from './measure.mjs'
import { AUTHORIZATION } from './server.mjs'

/** Clients of a soak: everything that clients do, in an order that chance decides, each answer checked. */

const KIB = 1024
const [OWNER, ACCOUNT] = [randomUUID(), randomUUID()]

const pick = list => list[Math.floor(Math.random() * list.length)]
const sha1 = bytes => createHash('sha1').update(bytes).digest('hex')
const some = most => randomBytes(1 + Math.floor(Math.random() * most))

/** One client with connections of its own. Every answer must have the status that is expected of it. */
export class SoakClient {
  #server
  #agent = new Agent({ keepAlive: true, maxSockets: 2 })
  /** How often each kind of work was done. */
  counts = {}

  constructor(server) {
    this.#server = server
  }

  close() {
    this.#agent.destroy()
  }

  /** Asks once; `cut` is how many bytes of body or answer the client stays for. */
  ask(method, path, { body, headers = {}, cut, local } = {}) {
    const options = {
      port: this.#server.port,
      host: '127.0.0.1',
      method,
      path,
      agent: local ? false : this.#agent,
      headers: { authorization: AUTHORIZATION, ...headers },
      ...(local && { localAddress: local }),
    }
    if (body !== undefined) options.headers['content-length'] = body.length
    return new Promise((resolve, reject) => {
      const asked = request(options, response => {
        const chunks = []
        response.on('data', chunk => {
          chunks.push(chunk)
          if (cut !== undefined) asked.destroy()
        })
        response.on('error', () => {})
        response.on('close', () => {
          resolve({ status: response.statusCode, headers: response.headers, bytes: Buffer.concat(chunks) })
        })
      })
      asked.on('error', error => (cut === undefined ? reject(error) : resolve({ status: 0 })))
      if (body === undefined || cut === undefined) asked.end(body)
      else asked.write(body.subarray(0, cut), () => setTimeout(() => asked.destroy(), 20))
    })
  }

  /** Asks and throws unless the status is as expected; resolves to the answer's bytes. */
  async expect(status, method, path, options) {
    const answer = await this.ask(method, path, options)
    if (![status].flat().includes(answer.status)) {
      throw new Error(
        `${method} ${path}: ${answer.status}, not ${status}: ${answer.bytes?.toString().slice(0, 500)}`,
      )
    }
    return answer
  }

  async json(status, method, path, value) {
    const body = value === undefined ? undefined : Buffer.from(JSON.stringify(value))
    const { bytes } = await this.expect(status, method, path, { body })
    return bytes.length > 0 ? JSON.parse(bytes) : undefined
  }

  async do(kind, work) {
    await work.call(this)
    this.counts[kind] = (this.counts[kind] ?? 0) + 1
  }
}

/** From its creation to its deletion, with a clone. */
async function lifeOfAnImage() {
  const manifest = { name: 'soak', version: '1', owner: OWNER, type: 'other', os: 'other', public: false }
  const { uuid } = await this.json(200, 'POST', '/images', manifest)
  const path = `/images/${uuid}`
  const file = `${path}/file`
  const upload = `${file}?compression=none`
  await this.expect(200, 'PUT', upload, { body: some(64 * KIB) })
  await this.expect([0, 200], 'PUT', upload, { body: some(900 * KIB), cut: 100 })
  const content = some(4096 * KIB)
  // Until the server knows that the other client is gone.
  while ((await this.expect([200, 409], 'PUT', upload, { body: content })).status !== 200) await sleep(0.02)
  await this.expect(200, 'PUT', `${path}/icon`, {
    body: some(32 * KIB),
    headers: { 'content-type': 'image/png' },
  })
  await this.json(200, 'POST', `${path}/acl?action=add`, [ACCOUNT])
  await this.json(200, 'POST', `${path}?action=activate`)
  for (let round = 0; round < 3; round++) {
    await this.json(200, 'POST', `${path}?action=update`, { description: some(100).toString('hex') })
    await this.expect(200, 'GET', '/images')
  }
  const answer = await this.expect(200, 'GET', file)
  if (sha1(answer.bytes) !== sha1(content)) throw new Error(`${path}: other bytes than those uploaded`)
  await this.expect(206, 'GET', file, { headers: { range: 'bytes=0-0' } })
  await this.expect(304, 'GET', file, { headers: { 'if-none-match': answer.headers.etag } })
  await this.expect(200, 'GET', `${path}/icon`)
  const clone = await this.json(200, 'POST', `${path}/clone?account=${ACCOUNT}`)
  await this.json(200, 'POST', `${path}/acl?action=remove`, [ACCOUNT])
  for (const action of ['disable', 'enable']) await this.json(200, 'POST', `${path}?action=${action}`)
  for (const id of [clone.uuid, uuid]) await this.expect(204, 'DELETE', `/images/${id}`)
}

/** Lists with every kind of filter, page and form. */
async function lists() {
  const index = Math.floor(Math.random() * 300)
  const paths = [
    '/images',
    '/images?state=all',
    `/images?name=${nameOf(index)}`,
    `/images?name=~${index}`,
    `/images?os=${LX.os}&type=${LX.type}`,
    `/images?tag.role=${roleOf(index)}`,
    `/images?account=${randomUUID()}`,
    `/images?limit=${index + 1}&sort=published_at.desc`,
    `/images?limit=20&marker=2020-01-01T0${index % 10}:00:00Z`,
  ]
  for (const path of paths) {
    const plain = await this.expect(200, 'GET', path)
    const zipped = await this.expect(200, 'GET', path, { headers: { 'accept-encoding': 'gzip' } })
    const text = zipped.headers['content-encoding'] === 'gzip' ? gunzipSync(zipped.bytes) : zipped.bytes
    JSON.parse(text)
    await this.expect([200, 304], 'GET', path, { headers: { 'if-none-match': plain.headers.etag } })
    await this.expect(200, 'HEAD', path)
  }
}

/** What is wrong, unwelcome or broken off. */
async function badRequests() {
  const wrong = `Basic ${Buffer.from(`admin:${randomUUID()}`).toString('base64')}`
  // Not from the address of the others, which would be slowed down too.
  const local = `127.0.${1 + Math.floor(Math.random() * 250)}.${1 + Math.floor(Math.random() * 250)}`
  await this.expect([401, 429], 'GET', '/images', { headers: { authorization: wrong }, local })
  await this.expect(404, 'GET', `/images/${randomUUID()}`)
  await this.expect(404, 'GET', `/${randomUUID()}`)
  await this.expect(422, 'POST', '/images', { body: Buffer.from('{"name": 5}') })
  await this.expect(400, 'POST', '/images', { body: Buffer.from('{') })
  await this.ask('GET', '/images?state=all', { cut: 1 })
}

/** Fetches an image of another server by a job, downloads a part of it, and deletes it. */
const imports = source =>
  async function importAnImage() {
    const uuid = pick(source.uuids)
    const query = `action=import-remote&source=${encodeURIComponent(source.url)}`
    const asked = await this.ask('POST', `/images/${uuid}?${query}`)
    // Another client may be importing it, or may have.
    if (asked.status !== 200) return
    const { job_uuid: job } = JSON.parse(asked.bytes)
    for (let execution = 'queued'; execution === 'queued' || execution === 'running'; await sleep(0.05)) {
      const answer = await this.ask('GET', `/jobs/${job}`)
      execution = answer.status === 200 ? JSON.parse(answer.bytes).execution : 'gone'
    }
    // 404 once another client has begun to delete it.
    await this.expect([206, 404], 'GET', `/images/${uuid}/file`, { headers: { range: 'bytes=-1000' } })
    await this.expect([204, 404], 'DELETE', `/images/${uuid}`)
  }

/** Does one thing after the other until the time is over. */
export async function work(client, source, isOver) {
  const kinds = { lifeOfAnImage, lists, badRequests, imports: imports(source) }
  while (!isOver()) {
    const [kind, one] = pick(Object.entries(kinds))
    await client.do(kind, one)
  }
}
