import { join } from 'node:path'
import { writeImage } from '../datadir.mjs'
import { upload } from '../load.mjs'
import { compare } from '../measure.mjs'
import { AUTHORIZATION } from '../server.mjs'
import { GIB, MIB, writeRandomFile } from './files.mjs'

/** Headers of the file, which come when its md5 is known; that also ends the work it makes after an upload. */
async function md5Of(url, headers) {
  const response = await fetch(url, { method: 'HEAD', headers })
  return response.headers.get('content-md5')
}

export const uploads = {
  name: 'upload',
  needs: ['nginx', 'curl'],
  async run(bench) {
    const size = bench.scale(GIB, MIB)
    bench.needRoom(5 * size)
    const source = join(bench.folder, 'upload.bin')
    writeRandomFile(source, size)
    const datadir = bench.newFolder('upload')
    const uuid = writeImage(datadir, 0, { state: 'unactivated' })
    const server = await bench.server(datadir)
    const nginx = await bench.nginx(bench.newFolder('upload-nginx'))
    const headers = { Authorization: AUTHORIZATION, 'Content-Type': 'application/octet-stream' }
    const file = `${server.url}/images/${uuid}/file`
    const { curl } = bench.programs
    let missingMd5s = 0
    const { ours, nginx: theirs } = await compare(
      {
        ours: async () => {
          const rate = await upload(curl, `${file}?compression=none`, source, { size, headers })
          if (!(await md5Of(file, headers))) missingMd5s++
          return { rate }
        },
        nginx: async () => ({ rate: await upload(curl, `${nginx.url}/upload`, source, { size }) }),
      },
      { repeats: bench.scale(5, 1), warmups: bench.scale(3, 0) },
    )
    return [
      {
        work: 'upload 1 GiB, checked and durable',
        ...{
          unit: 'B/s',
          ours: ours.rate,
          yardstick: theirs.rate,
          against: 'nginx DAV PUT, no hash, no fsync',
        },
        wanted: { least: 0.6 },
        ...(missingMd5s > 0 && { note: `${missingMd5s} first downloads came without a Content-MD5` }),
      },
    ]
  },
}
