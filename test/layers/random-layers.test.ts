import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { expect } from 'vitest'
import { mergeLayers } from '../../src/layers/merge-layers.ts'
import { type LayerEntry, tarOf } from '../support/layers.ts'
import { unpackWithUmoci } from '../support/oci-layout.ts'
import { LONG_TEST_TIMEOUT } from '../support/patience.ts'
import { needsAll } from '../support/programs.ts'
import { fc } from '../support/properties.ts'
import { temporaryFolder } from '../support/server.ts'
import { describeTree } from '../support/trees.ts'

/** Random layers over few names, so that they meet: files, folders, links, whiteouts, opaque folders. */

const test = needsAll({ umoci: 'umoci', tar: 'tar' })

const part = fc.constantFrom('a', 'b', 'c')
const path = fc.array(part, { minLength: 1, maxLength: 3 }).map(parts => parts.join('/'))
const mode = fc.constantFrom(0o644, 0o755, 0o600, 0o4755)
const target = fc.oneof(
  path,
  path.map(name => `/${name}`),
  path.map(name => `../${name}`),
)

const entry: fc.Arbitrary<LayerEntry> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ name: path, content: fc.string({ maxLength: 700 }), mode }) },
  { weight: 4, arbitrary: fc.record({ name: path.map(name => `${name}/`), type: fc.constant('5'), mode }) },
  { weight: 2, arbitrary: fc.record({ name: path, type: fc.constant('2'), link: target }) },
  { weight: 2, arbitrary: fc.record({ name: path, type: fc.constant('1'), link: target }) },
  { weight: 3, arbitrary: path.map(name => ({ name: name.replace(/[^/]*$/, last => `.wh.${last}`) })) },
  { weight: 1, arbitrary: path.map(name => ({ name: `${name}/.wh..wh..opq` })) },
) as fc.Arbitrary<LayerEntry>

const layers = fc.array(fc.array(entry, { maxLength: 8 }), { minLength: 1, maxLength: 4 })

async function unpack(tars: Buffer[]) {
  const folder = temporaryFolder()
  const paths = tars.map((bytes, index) => {
    writeFileSync(join(folder, `layer-${index}`), bytes)
    return join(folder, `layer-${index}`)
  })
  const { archive } = await mergeLayers(paths, new AbortController().signal)
  const tree = join(folder, 'tree')
  mkdirSync(tree)
  execFileSync('tar', ['-xpf', '-', '-C', tree], { input: await buffer(archive()) })
  return describeTree(tree)
}

test(
  'what umoci can unpack, becomes the same tree',
  async () => {
    let unpacked = 0
    await fc.assert(
      fc.asyncProperty(layers, async made => {
        const tars = made.map(tarOf)
        const expected = unpackWithUmoci(tars)
        // It does not take a file for a folder, nor make a link to a folder.
        if (typeof expected === 'string') return
        unpacked++
        expect(await unpack(tars)).toEqual(expected)
      }),
      { numRuns: 150 },
    )
    expect(unpacked).toBeGreaterThan(40)
  },
  LONG_TEST_TIMEOUT,
)
