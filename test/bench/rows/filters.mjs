import { LX, nameOf, roleOf, uuidOf } from '../datadir.mjs'
import { wrk } from '../load.mjs'
import { compare } from '../measure.mjs'
import { fetchBytes } from '../server.mjs'

/** Filtered lists against the whole list of a server that has exactly as many images. */
export const filters = {
  name: 'filters',
  needs: ['wrk'],
  async run(bench) {
    const all = bench.scale(10_000, 1000)
    const queries = {
      'name=': `name=${nameOf(7)}`,
      'os=&type=': `os=${LX.os}&type=${LX.type}`,
      'tag.role=': `tag.role=${roleOf(500)}`,
      'limit=100&marker=': `limit=100&marker=${uuidOf(all / 2)}`,
    }
    const server = await bench.server(bench.datadirOf(all))
    const results = []
    for (const [filter, query] of Object.entries(queries).slice(0, bench.scale(4, 1))) {
      const url = `${server.url}/images?${query}`
      const rows = JSON.parse(await fetchBytes(url)).length
      const other = await bench.server(bench.datadirOf(rows))
      const options = { connections: 16, seconds: 1 }
      const { ours, whole } = await compare(
        {
          ours: () => wrk(bench.programs.wrk, url, options),
          whole: () => wrk(bench.programs.wrk, `${other.url}/images`, options),
        },
        { repeats: bench.scale(3, 1), warmups: bench.scale(1, 0) },
      )
      results.push({
        work: `ListImages, ${all.toLocaleString('en')} images, ${filter}`,
        ...{ unit: '/s', ours: ours.rate, yardstick: whole.rate, against: `our list of ${rows} images` },
        wanted: { least: 0.5 },
      })
      await other.stop()
    }
    return results
  },
}
