import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { open, rename } from 'node:fs/promises'
import { join } from 'node:path'

/** The bare loops that nothing in Node can be faster than; run as a process of its own by `runModule`. */

/** Writes a temporary file, syncs it, renames it into place, syncs the folder. */
async function replaceDurably(temporary, folder, name, bytes) {
  const file = await open(temporary, 'w')
  await file.writeFile(bytes)
  await file.datasync()
  await file.close()
  await rename(temporary, join(folder, name))
  const directory = await open(folder, 'r')
  await directory.sync()
  await directory.close()
}

/** Every writer in a folder of its own; each change replaces as many files as there are sizes. */
async function replaceFiles({ folder, writers, sizes, seconds }) {
  const contents = sizes.map(size => randomBytes(size))
  const until = performance.now() + seconds * 1000
  const begun = performance.now()
  const latencies = []
  const write = async (_, writer) => {
    const own = join(folder, `${writer}`)
    mkdirSync(own, { recursive: true })
    while (performance.now() < until) {
      const start = performance.now()
      for (const [index, bytes] of contents.entries()) {
        await replaceDurably(join(folder, `${writer}-${index}.tmp`), own, `${index}`, bytes)
      }
      latencies.push(performance.now() - start)
    }
  }
  await Promise.all(Array.from({ length: writers }, write))
  const took = (performance.now() - begun) / 1000
  return { rate: latencies.length / took }
}

/** Reads and parses every manifest of a data directory. */
function readManifests({ folder }) {
  const manifests = []
  for (const name of readdirSync(folder)) {
    if (name.startsWith('.')) continue
    manifests.push(JSON.parse(readFileSync(join(folder, name, 'manifest.json'), 'utf8')))
  }
  return { count: manifests.length }
}

const { limit, ...task } = JSON.parse(process.argv[2])
console.log(JSON.stringify(await { replaceFiles, readManifests }[limit](task)))
