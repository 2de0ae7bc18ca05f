import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'

/**
 * Clients that change images, each on a connection and an image of its own; run as a process of its own by
 * `runModule`. Plain sockets: on a small machine a whole HTTP client would take from the server it measures.
 */

const { port, authorization, uuids, seconds, kind, size } = JSON.parse(process.argv[2])

const content = size ? randomBytes(size) : undefined

function requestFor(uuid, number) {
  const body = content ?? Buffer.from(JSON.stringify({ description: `The description number ${number}` }))
  const line = content ? `PUT /images/${uuid}/file?compression=none` : `POST /images/${uuid}?action=update`
  const head = [
    `${line} HTTP/1.1`,
    'Host: 127.0.0.1',
    `Authorization: ${authorization}`,
    'Content-Type: application/json',
    `Content-Length: ${body.length}`,
  ]
  return [Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body]
}

/** The bytes of the first answer in a buffer, or nothing if it is not all there. */
function answerIn(buffer) {
  const end = buffer.indexOf('\r\n\r\n')
  if (end === -1) return undefined
  const head = buffer.toString('latin1', 0, end)
  const length = end + 4 + Number(/^content-length: *(\d+)/im.exec(head)?.[1])
  if (buffer.length < length) return undefined
  if (!head.startsWith('HTTP/1.1 200 ')) throw new Error(buffer.toString('utf8'))
  return length
}

function writer(uuid, until, latencies) {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    let received = Buffer.alloc(0)
    let number = 0
    let begun = 0
    const send = () => {
      begun = performance.now()
      socket.cork()
      for (const part of requestFor(uuid, number++)) socket.write(part)
      socket.uncork()
    }
    socket.on('connect', send).on('error', reject)
    socket.on('data', chunk => {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk])
      let length
      try {
        length = answerIn(received)
      } catch (error) {
        return reject(error)
      }
      if (length === undefined) return
      received = received.subarray(length)
      const now = performance.now()
      latencies.push(now - begun)
      if (now < until) return send()
      socket.destroy()
      resolve()
    })
  })
}

const latencies = []
const begun = performance.now()
await Promise.all(uuids.map(uuid => writer(uuid, begun + seconds * 1000, latencies)))
const took = (performance.now() - begun) / 1000
latencies.sort((a, b) => a - b)
const at = part => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * part))]
console.log(JSON.stringify({ kind, rate: latencies.length / took, p50: at(0.5), p99: at(0.99) }))
