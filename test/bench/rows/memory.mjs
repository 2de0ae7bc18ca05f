import { join } from 'node:path'
import { writeImage } from '../datadir.mjs'
import { keepTransferring } from '../load.mjs'
import { sleep } from '../measure.mjs'
import { residentBytes } from '../processes.mjs'
import { AUTHORIZATION } from '../server.mjs'
import { GIB, MIB, writeRandomFile } from './files.mjs'

/** The most memory that a server has while some time passes. */
async function peak(server, seconds) {
  let most = 0
  for (const until = performance.now() + seconds * 1000; performance.now() < until; await sleep(0.1)) {
    most = Math.max(most, residentBytes(server.pid))
  }
  return most
}

export const idleMemory = {
  name: 'memory-idle',
  needs: [],
  async run(bench) {
    const images = bench.scale(100_000, 100)
    const server = await bench.server(bench.datadirOf(images))
    await sleep(bench.scale(5, 0))
    return [
      {
        work: `memory, ${images.toLocaleString('en')} images, idle`,
        ...{ unit: 'B', ours: await peak(server, bench.scale(1, 0.1)) },
        wanted: { most: 350e6 },
      },
    ]
  },
}

/** Half of the clients upload, half download, as much as they get done in a bounded time. */
export const transferMemory = {
  name: 'memory-transfers',
  needs: ['curl'],
  async run(bench) {
    const size = bench.scale(GIB, MIB)
    const each = bench.scale(32, 2)
    bench.needRoom(bench.scale(30 * GIB, 100 * MIB))
    const datadir = bench.newFolder('memory')
    const source = join(bench.folder, 'memory.bin')
    writeRandomFile(source, size)
    const active = writeImage(datadir, 0, { size, write: path => writeRandomFile(path, size) })
    const waiting = Array.from({ length: each }, (_, i) =>
      writeImage(datadir, i + 1, { state: 'unactivated' }),
    )
    const server = await bench.server(datadir)
    const stopTransfers = keepTransferring(bench.programs.curl, [
      ...waiting.map(uuid => ({
        url: `${server.url}/images/${uuid}/file?compression=none`,
        path: source,
        headers: { Authorization: AUTHORIZATION },
      })),
      ...waiting.map(() => ({ url: `${server.url}/images/${active}/file` })),
    ])
    const most = await peak(server, bench.scale(15, 0.5))
    await stopTransfers()
    return [
      {
        work: `memory, ${2 * each} clients moving 1 GiB files`,
        ...{ unit: 'B', ours: most },
        wanted: { most: 200e6 },
      },
    ]
  },
}
