import { existsSync, readdirSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { aliasesOf } from '../../src/commands/command.ts'
import { COMMANDS } from '../../src/commands/index.ts'
import { DOCUMENTS, MANUALS, ROOT, read } from '../support/documents.ts'

describe('a reader finds everything', () => {
  test('README.md can be read in five minutes', () => {
    expect(Buffer.byteLength(read('README.md'))).toBeLessThanOrEqual(12 * 1024)
  })

  /** As GitHub makes it of a heading. */
  const anchorOf = (heading: string) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replaceAll(' ', '-')
  const prose = (document: string) => read(document).replace(/^```[\s\S]*?^```$/gm, '')
  const anchorsOf = (document: string) =>
    [...prose(document).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => anchorOf(heading!))

  // Once the folders have their places.
  test('the map of the code names every folder', () => {
    const map = read('src/README.md')
    const folders = readdirSync(join(ROOT, 'src'), { withFileTypes: true }).filter(entry =>
      entry.isDirectory(),
    )
    for (const { name } of folders) expect(map).toContain(`| \`${name}/\` `)
  })

  test('README.md leads to every manual', () => {
    for (const document of MANUALS.slice(1)) expect(read('README.md')).toContain(`(${document})`)
  })

  test.each(DOCUMENTS)('the links of %s lead somewhere', document => {
    for (const [, link] of prose(document).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(link!)) continue
      const [path, anchor] = link!.split('#') as [string, string?]
      const target = path ? resolve(ROOT, dirname(document), path) : join(ROOT, document)
      expect(existsSync(target), link).toBe(true)
      if (anchor !== undefined) expect(anchorsOf(target.slice(ROOT.length)), link).toContain(anchor)
    }
  })

  test('every command and option that a document names exists', () => {
    const flags = new Map(
      Object.entries(COMMANDS).map(([command, { args }]) => [
        command,
        [
          '--help',
          ...Object.entries(args).flatMap(([name, arg]) => [
            `--${name}`,
            ...aliasesOf(arg).map(one => `-${one}`),
          ]),
        ],
      ]),
    )
    let count = 0
    for (const document of DOCUMENTS) {
      // In code only: prose says "imgapi is".
      const code = read(document).match(/^```[\s\S]*?^```$|`[^`\n]+`/gm) ?? []
      for (const [, name, rest] of code
        .join('\n')
        .matchAll(/\bimgapi ([a-z][\w-]*)((?:(?!\$\()[^`\n|;)])*)/g)) {
        if (name === 'help') continue
        expect([...flags.keys()], document).toContain(name)
        for (const flag of rest!.match(/(?<=\s)--?[a-z][\w-]*/gi) ?? []) {
          // `-s -published` is a value.
          if (flag !== '-published')
            expect(flags.get(name!), `${document}: imgapi ${name}${rest}`).toContain(flag)
        }
        count++
      }
    }
    expect(count).toBeGreaterThan(40)
  })
})
