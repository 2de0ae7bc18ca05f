import { run, start } from './processes.mjs'

/** Clients: wrk for many small answers, curl (which copies what it receives) for files. */

const UNITS = { us: 1e-3, ms: 1, s: 1e3, m: 6e4 }

/** Resolves to requests a second and the 99th percentile of the latency in milliseconds. */
export async function wrk(program, url, { connections, seconds, headers = {} }) {
  const sent = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`])
  const args = ['-t1', `-c${connections}`, `-d${Math.ceil(seconds)}s`, '--latency', ...sent, url]
  const text = await run(program, args)
  if (/Non-2xx|Socket errors: (?!connect 0, read 0, write 0, timeout \d+)/.test(text)) {
    throw new Error(`wrk ${url}: ${text}`)
  }
  const [, latency, unit] = /99%\s+([\d.]+)(us|ms|s|m)/.exec(text)
  return { rate: Number(/Requests\/sec:\s+([\d.]+)/.exec(text)[1]), p99: latency * UNITS[unit] }
}

/** Downloads with several clients at once and resolves to the bytes a second of all together. */
export async function download(program, url, { clients, size }) {
  const begun = performance.now()
  const sizes = await Promise.all(
    Array.from({ length: clients }, () =>
      run(program, ['-sS', '-f', '-o', '/dev/null', '-w', '%{size_download}', url]),
    ),
  )
  const seconds = (performance.now() - begun) / 1000
  if (sizes.some(text => Number(text) !== size)) throw new Error(`${url}: ${sizes} bytes, not ${size}`)
  return (clients * size) / seconds
}

const uploadArgs = (url, path, headers) => [
  ...['-sS', '-f', '-o', '/dev/null', '-T', path, '-H', 'Expect:'],
  ...Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]),
  url,
]

/** Uploads a file and resolves to bytes a second. */
export async function upload(program, url, path, { size, headers = {} }) {
  const begun = performance.now()
  await run(program, uploadArgs(url, path, headers))
  return size / ((performance.now() - begun) / 1000)
}

/** Transfers that are begun again as they end, until the function that this returns is called. */
export function keepTransferring(program, transfers) {
  let isOver = false
  const current = new Set()
  const keep = async args => {
    while (!isOver) {
      const child = start(program, args, { stdio: 'ignore' })
      current.add(child)
      await child.ended
      current.delete(child)
    }
  }
  const all = transfers.map(({ url, path, headers = {} }) =>
    keep(path ? uploadArgs(url, path, headers) : ['-sS', '-o', '/dev/null', url]),
  )
  return async () => {
    isOver = true
    for (const child of current) child.kill()
    await Promise.all(all)
  }
}
