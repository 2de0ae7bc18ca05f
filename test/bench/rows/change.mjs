import { uuidOf } from '../datadir.mjs'
import { compare } from '../measure.mjs'
import { runModule } from '../processes.mjs'
import { AUTHORIZATION } from '../server.mjs'

/** Durable changes: UpdateImage, each writer with an image of its own. */

const MANIFEST_SIZE = 1800

const change = ({ port }, writers, seconds) =>
  runModule('writers.mjs', {
    ...{ port, authorization: AUTHORIZATION, seconds },
    uuids: Array.from({ length: writers }, (_, index) => uuidOf(index)),
  })

const text = writers => `${writers} writer${writers === 1 ? '' : 's'}`

export const changes = {
  name: 'change',
  needs: [],
  async run(bench) {
    const server = await bench.server(bench.datadirOf(100))
    const folder = bench.newFolder('change-limit')
    const seconds = bench.scale(1, 0.2)
    const results = []
    for (const writers of [1, 64]) {
      const { ours, bare } = await compare(
        {
          ours: () => change(server, writers, seconds),
          bare: () =>
            runModule('limits.mjs', {
              ...{ limit: 'replaceFiles', folder, writers, sizes: [MANIFEST_SIZE], seconds },
            }),
        },
        { repeats: bench.scale(5, 1), warmups: bench.scale(1, 0) },
      )
      results.push({
        work: `durable change of a manifest, ${text(writers)}`,
        ...{ unit: '/s', ours: ours.rate, yardstick: bare.rate, against: 'bare loop' },
        wanted: { least: 0.7 },
      })
    }
    return results
  },
}

export const changesInMany = {
  name: 'change-scale',
  needs: [],
  async run(bench) {
    const [many, few] = bench.scale([100_000, 100], [200, 100])
    const large = await bench.server(bench.datadirOf(many))
    const small = await bench.server(bench.datadirOf(few))
    const seconds = bench.scale(1, 0.2)
    const results = []
    for (const writers of [1, 64]) {
      const { ours, with100 } = await compare(
        {
          ours: () => change(large, writers, seconds),
          with100: () => change(small, writers, seconds),
        },
        { repeats: bench.scale(5, 1), warmups: bench.scale(1, 0) },
      )
      results.push({
        work: `the same change with ${many.toLocaleString('en')} images, ${text(writers)}`,
        ...{ unit: 's', ours: 1 / ours.rate, yardstick: 1 / with100.rate, against: `${few} images` },
        wanted: { most: 1.25 },
      })
    }
    return results
  },
}
