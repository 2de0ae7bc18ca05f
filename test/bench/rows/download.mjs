import { filePathOf, writeImage } from '../datadir.mjs'
import { download } from '../load.mjs'
import { compare } from '../measure.mjs'
import { cpuSeconds } from '../processes.mjs'
import { GIB, MIB, writeRandomFile } from './files.mjs'

export const downloads = {
  name: 'download',
  needs: ['nginx', 'curl'],
  async run(bench) {
    const size = bench.scale(GIB, MIB)
    bench.needRoom(2 * size)
    const datadir = bench.newFolder('download')
    const uuid = writeImage(datadir, 0, { size, write: path => writeRandomFile(path, size) })
    const server = await bench.server(datadir)
    const nginx = await bench.nginx(datadir)
    const { curl } = bench.programs
    const ours = clients => download(curl, `${server.url}/images/${uuid}/file`, { clients, size })
    const theirs = clients => download(curl, `${nginx.url}/${filePathOf(uuid)}`, { clients, size })
    const withCpu = async (transfer, clients, cpu) => {
      const before = cpu()
      const rate = await transfer(clients)
      return { rate, cpu: ((cpu() - before) * GIB) / (clients * size) }
    }
    const both = (clients, options) =>
      compare(
        {
          ours: () => withCpu(ours, clients, () => cpuSeconds(server.pid)),
          nginx: () => withCpu(theirs, clients, nginx.cpuSeconds),
        },
        options,
      )
    const alone = await both(1, { repeats: bench.scale(7, 1), warmups: 1 })
    const eight = await both(8, { repeats: bench.scale(5, 1), warmups: bench.scale(1, 0) })
    const against = 'nginx, sendfile'
    const speed = ({ ours: a, nginx: b }) => ({ unit: 'B/s', ours: a.rate, yardstick: b.rate, against })
    return [
      { work: 'download 1 GiB, 8 clients', ...speed(eight), wanted: { least: 0.88 } },
      { work: 'download 1 GiB, 1 client', ...speed(alone), wanted: { least: 1.1 } },
      {
        work: 'CPU per GiB downloaded, 8 clients',
        ...{ unit: 's', ours: eight.ours.cpu, yardstick: eight.nginx.cpu, against },
        wanted: { most: 1.6 },
      },
    ]
  },
}
