import { join } from 'node:path'
import { writeImage } from '../datadir.mjs'
import { keepTransferring, wrk } from '../load.mjs'
import { compare, sleep } from '../measure.mjs'
import { AUTHORIZATION } from '../server.mjs'
import { GIB, MIB, writeRandomFile } from './files.mjs'

const UPLOADS = 4
const DOWNLOADS = 8

export const latency = {
  name: 'latency',
  needs: ['wrk', 'curl'],
  async run(bench) {
    const size = bench.scale(GIB, MIB)
    bench.needRoom(20 * size)
    const datadir = bench.newFolder('latency')
    const source = join(bench.folder, 'latency.bin')
    writeRandomFile(source, size)
    const active = writeImage(datadir, 0, { size, write: path => writeRandomFile(path, size) })
    const waiting = Array.from({ length: UPLOADS }, (_, i) =>
      writeImage(datadir, i + 1, { state: 'unactivated' }),
    )
    const server = await bench.server(datadir)
    const transfers = [
      ...waiting.map(uuid => ({
        url: `${server.url}/images/${uuid}/file?compression=none`,
        path: source,
        headers: { Authorization: AUTHORIZATION },
      })),
      ...Array.from({ length: DOWNLOADS }, () => ({ url: `${server.url}/images/${active}/file` })),
    ]
    const ask = () =>
      wrk(bench.programs.wrk, `${server.url}/images/${active}`, {
        ...{ connections: 16, seconds: bench.scale(4, 1) },
      })
    const { loaded, idle } = await compare(
      {
        loaded: async () => {
          const stopTransfers = keepTransferring(bench.programs.curl, transfers)
          await sleep(bench.scale(1, 0))
          const figures = await ask()
          await stopTransfers()
          return figures
        },
        idle: ask,
      },
      { repeats: bench.scale(3, 1), warmups: bench.scale(1, 0) },
    )
    return [
      {
        work: 'p99 of GetImage while 4 uploads and 8 downloads run',
        ...{ unit: 's', ours: loaded.p99 / 1000, yardstick: idle.p99 / 1000, against: 'p99 idle' },
        wanted: { most: 8 },
      },
    ]
  },
}
