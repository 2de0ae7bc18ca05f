import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { wrk } from '../load.mjs'
import { compare } from '../measure.mjs'
import { fetchBytes } from '../server.mjs'

/** ListImages against nginx that has the same bytes in a file, and against ourselves for clients that save. */

const count = number => number.toLocaleString('en')

export const lists = {
  name: 'list',
  needs: ['nginx', 'wrk'],
  async run(bench) {
    const results = []
    const root = bench.newFolder('list')
    for (const images of bench.scale([10, 1000, 10_000], [10])) {
      const server = await bench.server(bench.datadirOf(images))
      writeFileSync(join(root, 'list'), await fetchBytes(`${server.url}/images`))
      const nginx = await bench.nginx(root)
      for (const connections of bench.scale([16, 64], [16])) {
        const options = { connections, seconds: 1 }
        const { ours, nginx: theirs } = await compare(
          {
            ours: () => wrk(bench.programs.wrk, `${server.url}/images`, options),
            nginx: () => wrk(bench.programs.wrk, `${nginx.url}/list`, options),
          },
          { repeats: bench.scale(3, 1), warmups: bench.scale(1, 0) },
        )
        results.push({
          work: `ListImages, ${count(images)} images, ${connections} connections`,
          ...{ unit: '/s', ours: ours.rate, yardstick: theirs.rate, against: 'nginx, same bytes' },
          wanted: { least: images === 10 ? 0.6 : 1.2 },
        })
      }
      await bench.stopAll()
    }
    return results
  },
}

export const listsForSavers = {
  name: 'list-variants',
  needs: ['wrk'],
  async run(bench) {
    const results = []
    for (const images of bench.scale([1000, 10_000], [10])) {
      const server = await bench.server(bench.datadirOf(images))
      const url = `${server.url}/images`
      const etag = (await fetch(url, { headers: { 'accept-encoding': 'identity' } })).headers.get('etag')
      for (const connections of bench.scale([16, 64], [16])) {
        const ask = headers => () => wrk(bench.programs.wrk, url, { connections, seconds: 1, headers })
        const { gzip, unchanged, identity } = await compare(
          {
            gzip: ask({ 'Accept-Encoding': 'gzip' }),
            unchanged: ask({ 'If-None-Match': etag }),
            identity: ask({}),
          },
          { repeats: bench.scale(3, 1), warmups: bench.scale(1, 0) },
        )
        const row = (variant, { rate }, least) => ({
          work: `ListImages, ${count(images)} images, ${variant}, ${connections} connections`,
          ...{ unit: '/s', ours: rate, yardstick: identity.rate, against: 'our identity answer' },
          wanted: { least },
        })
        results.push(row('gzip', gzip, 4), row('If-None-Match', unchanged, 10))
      }
      await bench.stopAll()
    }
    return results
  },
}
