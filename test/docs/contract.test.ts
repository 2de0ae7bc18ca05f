import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ROOT, read } from '../support/documents.ts'

describe('the contract that comments cite is in the repository', () => {
  const CONTRACT = 'test/acceptance/conformance/CONTRACT.md'
  const sections = [...read(CONTRACT).matchAll(/^#+ (dsapid )?(\d+(?:\.\d+)?)/gm)].map(
    ([, other = '', number]) => other + number,
  )
  const NUMBERS = String.raw`\d+(?:\.\d+)?(?:(?:, | and |-)\d+(?:\.\d+)?)*`
  const CITATIONS = [
    new RegExp(
      String.raw`\bcontract(?: of (?<other>dsapid))?(?:,|'s table \()? ?(?:sections? )?(?<numbers>${NUMBERS})`,
      'gi',
    ),
    new RegExp(String.raw`\bsections? (?<numbers>${NUMBERS}) of the reference contract`, 'gi'),
  ]
  const OF_CONFORMANCE = new RegExp(String.raw`\bsections? (?<numbers>${NUMBERS})`, 'gi')

  const citations = ['src', 'test'].flatMap(folder =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter(path => path.endsWith('.ts') && path !== 'docs/contract.test.ts')
      .flatMap(path => {
        const text = read(join(folder, path)).replace(/\n\s*(\*|\/\/) /g, ' ')
        const patterns = path.includes('conformance/') ? [...CITATIONS, OF_CONFORMANCE] : CITATIONS
        return patterns
          .flatMap(pattern => [...text.matchAll(pattern)])
          .flatMap(({ groups }) =>
            groups!.numbers!.split(/, | and |-/).map(number => ({
              path: `${folder}/${path}`,
              section: groups!.other ? `${groups!.other} ${number}` : number,
            })),
          )
      }),
  )

  test('and has every section', () => {
    expect(citations.length).toBeGreaterThan(50)
    expect(citations.filter(({ section }) => !sections.includes(section))).toEqual([])
  })
})
