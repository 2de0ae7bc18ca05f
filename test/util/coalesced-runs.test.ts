import { expect, test } from 'vitest'
import { CoalescedRuns } from '../../src/util/coalesced-runs.ts'

/** Work that ends when the test says so. */
function recorder() {
  const begun: string[] = []
  const ends = new Map<string, (error?: Error) => void>()
  const work = (name: string) => () => {
    begun.push(name)
    return new Promise<void>((resolve, reject) =>
      ends.set(name, error => (error ? reject(error) : resolve())),
    )
  }
  const end = async (name: string, error?: Error) => {
    ends.get(name)!(error)
    await new Promise(setImmediate)
  }
  return { begun, work, end }
}

test('callers that come during a run share one more, with the work of the last of them', async () => {
  const runs = new CoalescedRuns()
  const { begun, work, end } = recorder()
  const first = runs.run('key', work('first'))
  const waiting = ['second', 'third', 'fourth'].map(name => runs.run('key', work(name)))
  expect(begun).toEqual(['first'])
  await end('first')
  await first
  expect(begun).toEqual(['first', 'fourth'])
  // These may have changed something that the run under way does not include.
  const late = runs.run('key', work('late'))
  await end('fourth')
  await Promise.all(waiting)
  await end('late')
  await late
  expect(begun).toEqual(['first', 'fourth', 'late'])
  void runs.run('key', work('after'))
  expect(begun.at(-1)).toBe('after')
})

test('a run that fails is an error of its callers only', async () => {
  const runs = new CoalescedRuns()
  const { begun, work, end } = recorder()
  const first = runs.run('key', work('first'))
  const second = runs.run('key', work('second'))
  first.catch(() => {})
  await end('first', new Error('broken'))
  await expect(first).rejects.toThrow('broken')
  await end('second')
  await second
  expect(begun).toEqual(['first', 'second'])
})

test('runs under other keys do not wait', () => {
  const runs = new CoalescedRuns()
  const { begun, work } = recorder()
  void runs.run('one', work('one'))
  void runs.run('other', work('other'))
  expect(begun).toEqual(['one', 'other'])
})
