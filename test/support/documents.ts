import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { namesIn } from './folders.ts'

/**
 * The documents of the repository and their blocks. The info string of a block says what it is: `sh run` is run, in
 * order, against a server; `json run` is the config of that server; `json` is config; `sh clone`, `sh root` and
 * `sh smartos` are for a clone, for root and for SmartOS. Others are text.
 */

export const ROOT = new URL('../..', import.meta.url).pathname

/** Reads a file of the repository. */
export const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')

export const EXAMPLE = JSON.parse(read('imgapi.example.json'))

/** The documents for users; those for developers have no blocks to run. */
export const MANUALS = [
  'README.md',
  ...namesIn(join(ROOT, 'support-files/doc')).map(name => `support-files/doc/${name}`),
]

export const DOCUMENTS = [
  'README.md',
  ...['.github', 'src', 'support-files', 'test'].flatMap(folder =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter(path => path.endsWith('.md') && !path.includes('node_modules'))
      .map(path => `${folder}/${path}`),
  ),
]

export interface Block {
  info: string
  text: string
}

export const BLOCKS: ReadonlyMap<string, readonly Block[]> = new Map(
  MANUALS.map(document => [
    document,
    [...read(document).matchAll(/^```([\w ]*)\n([\s\S]*?)^```$/gm)].map(([, info, text]) => ({
      info: info!,
      text: text!,
    })),
  ]),
)

export const ALL_BLOCKS = [...BLOCKS.values()].flat()

export const texts = (blocks: readonly Block[], info: string) =>
  blocks.filter(block => block.info === info).map(({ text }) => text)
