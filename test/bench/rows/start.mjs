import { compare } from '../measure.mjs'
import { runModule } from '../processes.mjs'
import { startServer } from '../server.mjs'

/** From the start of the process until it listens, against a process that only reads and parses the files. */
export const starts = {
  name: 'start',
  needs: [],
  async run(bench) {
    const results = []
    for (const images of bench.scale([10_000, 100_000], [200])) {
      const datadir = bench.datadirOf(images)
      const { ours, bare } = await compare(
        {
          ours: async () => {
            const server = await startServer(bench.folder, datadir)
            await server.stop()
            return { seconds: server.startSeconds }
          },
          bare: async () => {
            const begun = performance.now()
            const { count } = await runModule('limits.mjs', { limit: 'readManifests', folder: datadir })
            if (count !== images) throw new Error(`${count} manifests, not ${images}`)
            return { seconds: (performance.now() - begun) / 1000 }
          },
        },
        { repeats: bench.scale(images > 10_000 ? 3 : 5, 1), warmups: bench.scale(1, 0) },
      )
      results.push({
        work: `start with ${images.toLocaleString('en')} images`,
        ...{ unit: 's', ours: ours.seconds, yardstick: bare.seconds, against: 'bare loop, read and parse' },
        wanted: { most: 1.5 },
      })
    }
    return results
  },
}
