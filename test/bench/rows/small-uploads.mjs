import { join } from 'node:path'
import { writeImages } from '../datadir.mjs'
import { compare } from '../measure.mjs'
import { runModule } from '../processes.mjs'
import { AUTHORIZATION } from '../server.mjs'
import { MIB } from './files.mjs'

const MANIFEST_SIZE = 1200

export const smallUploads = {
  name: 'small-uploads',
  needs: [],
  async run(bench) {
    const writers = bench.scale(16, 2)
    const seconds = bench.scale(2, 0.1)
    bench.needRoom(4096 * MIB)
    const datadir = join(bench.folder, 'small-uploads')
    const uuids = writeImages(datadir, writers, { state: 'unactivated' })
    const server = await bench.server(datadir)
    const task = { port: server.port, authorization: AUTHORIZATION, uuids, seconds, size: MIB }
    const folder = bench.newFolder('small-uploads-limit')
    const limit = { limit: 'replaceFiles', folder, writers, sizes: [MIB, MANIFEST_SIZE], seconds }
    const { ours, bare } = await compare(
      {
        ours: () => runModule('writers.mjs', task),
        bare: () => runModule('limits.mjs', limit),
      },
      { repeats: bench.scale(5, 1), warmups: bench.scale(1, 0) },
    )
    return [
      {
        work: 'uploads of 1 MiB, 16 clients',
        ...{ unit: '/s', ours: ours.rate, yardstick: bare.rate, against: 'bare loop, file and manifest' },
        wanted: { least: 0.6 },
      },
    ]
  },
}
