import { describe, expect, test } from 'vitest'
import { cellOf, comparatorFor, latestOf } from '../../src/commands/columns.ts'
import { bytes, duration } from '../../src/commands/format.ts'
import { Progress } from '../../src/commands/progress.ts'
import { table } from '../../src/commands/table.ts'

test.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1024, '1.00 KiB'],
  [10 * 1024 ** 2, '10.0 MiB'],
  [999 * 1024 ** 3, '999 GiB'],
  [5000 * 1024 ** 4, '5000 TiB'],
])('%i bytes are %s', (count, text) => expect(bytes(count)).toBe(text))

test.each([
  [0.04, '0.0 s'],
  [59, '59 s'],
  [59.7, '1:00'],
  [3725, '1:02:05'],
  [Number.POSITIVE_INFINITY, '?'],
])('%d seconds are %s', (seconds, text) => expect(duration(seconds)).toBe(text))

describe('a table', () => {
  const uuid = '6de01e97-d7ec-4906-bd8b-cb4eafdb7c8b'
  test('fits the terminal: the widest column gives way, a UUID does not', () => {
    const text = table(['UUID', 'NAME', 'V'], [[uuid, 'a-very-long-name-of-an-image', '1']], { width: 60 })
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(60)
    expect(text).toContain(uuid)
    expect(text).toContain('a-very-long-name-o…')
  })

  test('is not cut where no person reads it, and can do without a heading', () => {
    expect(table(['A', 'B'], [['x'.repeat(300), 'y']], { withHeading: false })).toBe(`${'x'.repeat(300)}  y`)
    expect(table(['A'], [], { withHeading: false })).toBe('')
  })
})

test('a cell is one line that cannot steer the terminal, and a dash for nothing', () => {
  const image = { uuid: 'u', name: 'n', version: 'v', description: 'a\u001b[2J\nb', tags: { 'a.b': 1 } }
  expect(cellOf(image, 'description')).toBe('a [2J b')
  expect(cellOf(image, 'homepage')).toBe('-')
  expect(cellOf(image, 'tags.a.b')).toBe('1')
  expect(cellOf(image, 'tags.toString')).toBe('-')
})

test('images sort by several columns, sizes as numbers, dates with their time', () => {
  const image = (name: string, size: number, published_at: string) => ({
    ...{ uuid: name, name, version: '1', published_at },
    files: [{ sha1: '', size, compression: 'none' as const }],
  })
  const [a, b, c] = [
    image('a', 10, '2020-01-01T10:00:00Z'),
    image('b', 9, '2020-01-01T09:00:00Z'),
    image('c', 10, '2020-01-01T08:00:00Z'),
  ] as const
  expect([a, b, c].sort(comparatorFor('size,-name'))).toEqual([b, c, a])
  expect([a, b, c].sort(comparatorFor('published'))).toEqual([c, b, a])
})

test('the latest is one of each owner and name', () => {
  const image = (owner: string, version: string, published_at: string) => ({
    ...{ uuid: version, name: 'n', owner, version, published_at },
  })
  const images = [image('x', '1', '2020'), image('x', '2', '2021'), image('y', '3', '2019')]
  expect(latestOf(images).map(({ version }) => version)).toEqual(['2', '3'])
})

test('without a terminal progress is a line every few seconds and one at the end', () => {
  let written = ''
  let time = 0
  const stream = { isTTY: false, write: (text: string) => (written += text) } as unknown as NodeJS.WriteStream
  const progress = new Progress({ quiet: false, stream, now: () => time })
  const transfer = progress.start('x', 'sending', 1000)
  for (time = 0; time <= 9000; time += 100) transfer.update(time / 10)
  transfer.finish('sent')
  expect(written).toBe(
    'x: sending, 50%, 500 B of 1000 B, 100 B/s, 5.0 s left\nx: sent, 1000 B in 9.1 s, 110 B/s\n',
  )
})
