import { describe, expect, test } from 'vitest'
import { listPages, PAGE } from '../../../src/sources/imgapi/pages.ts'

const images = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ uuid: String(index), name: 'n', version: 'v' }))

describe('every image is listed once by a server', () => {
  const all = images(2 * PAGE + 500)
  const from = (marker: string | undefined) => (marker === undefined ? 0 : Number(marker))
  test.each<[string, (page: { limit: string; marker?: string }) => typeof all]>([
    ['that begins a page with the marker', ({ marker }) => all.slice(from(marker), from(marker) + PAGE)],
    ['that begins after the marker', ({ marker }) => all.slice(marker ? from(marker) + 1 : 0).slice(0, PAGE)],
    ['that knows neither limit nor marker', () => all],
    ['that has just one page', ({ marker }) => (marker ? all.slice(PAGE - 1, PAGE) : all.slice(0, PAGE))],
  ])('%s', async (name, answer) => {
    const found = []
    for await (const page of listPages(async page => answer(page))) found.push(...page)
    expect(found).toEqual(name.includes('just one') ? all.slice(0, PAGE) : all)
  })
})
