import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { uuidOf } from '../datadir.mjs'
import { wrk } from '../load.mjs'
import { compare } from '../measure.mjs'
import { fetchBytes } from '../server.mjs'

export const get = {
  name: 'get',
  needs: ['nginx', 'wrk'],
  async run(bench) {
    const images = bench.scale(1000, 10)
    const server = await bench.server(bench.datadirOf(images))
    const url = `${server.url}/images/${uuidOf(images - 1)}`
    const root = bench.newFolder('get')
    writeFileSync(join(root, 'image'), await fetchBytes(url))
    const nginx = await bench.nginx(root)
    const options = { connections: 16, seconds: bench.scale(2, 1) }
    const { ours, nginx: theirs } = await compare(
      {
        ours: () => wrk(bench.programs.wrk, url, options),
        nginx: () => wrk(bench.programs.wrk, `${nginx.url}/image`, options),
      },
      { repeats: bench.scale(5, 1), warmups: bench.scale(1, 0) },
    )
    return [
      {
        work: 'GetImage, 16 connections',
        ...{ unit: '/s', ours: ours.rate, yardstick: theirs.rate, against: 'nginx, same bytes' },
        wanted: { least: 0.55 },
      },
    ]
  },
}
