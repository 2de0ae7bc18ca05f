import { expect, test } from 'vitest'
import { type FailurePolicy, LoginFailures, POLICY } from '../../src/auth/failures.ts'
import { fc } from '../support/properties.ts'

const SMALL: FailurePolicy = {
  pair: { most: 5, perSecond: 1 },
  knownPair: { most: 8, perSecond: 2 },
  address: { most: 20, perSecond: 5 },
  name: { most: 30, perSecond: 10 },
  free: 2,
  freeAlone: 10,
  firstDelay: 20,
  longestDelay: 50,
}

/** Time passes when the test says so; delays are noted and end at once. */
function prepare(policy = SMALL) {
  let now = 0
  const delays: number[] = []
  const clock = {
    now: () => now,
    sleep: async (milliseconds: number) => void delays.push(milliseconds),
  }
  const failures = new LoginFailures(policy, clock)
  /** Undefined if the login is looked at. */
  const refusal = (address: string, name: string) => {
    try {
      failures.check(address, name)
      return undefined
    } catch (error) {
      return error
    }
  }
  /** A login that fails if it is looked at at all. */
  const guess = async (address: string, name: string): Promise<boolean> => {
    if (refusal(address, name)) return false
    await failures.add(address, name)
    return true
  }
  const guesses = async (
    count: number,
    address: (index: number) => string,
    name: (index: number) => string,
  ) => {
    let looked = 0
    for (let index = 0; index < count; index++) if (await guess(address(index), name(index))) looked++
    return looked
  }
  const pass = (seconds: number) => {
    now += seconds * 1000
  }
  return { failures, refusal, guess, guesses, delays, pass }
}

const here = () => 'here'
const ann = () => 'ann'

test('the first failures are free, then each takes twice as long, up to a limit', async () => {
  const { guesses, delays } = prepare()
  expect(await guesses(5, here, ann)).toBe(5)
  expect(delays).toEqual([20, 40, 50])
})

test('after too many failures no more are looked at than the rate allows, and the refusal says when', async () => {
  const { guesses, refusal, pass } = prepare()
  expect(await guesses(100, here, ann)).toBe(5)
  expect(refusal('here', 'ann')).toMatchObject({
    code: 'TooManyRequests',
    status: 429,
    headers: { 'Retry-After': '1' },
    message: 'too many failed logins from here; try again in 1 second',
  })
  pass(10)
  expect(refusal('here', 'ann')).toBeUndefined()
  for (let second = 0; second < 60; second++) {
    pass(1)
    expect(await guesses(100, here, ann)).toBe(second === 0 ? 5 : 1)
  }
})

test('the failures of one name do not count for another, nor those of one address', async () => {
  const { guesses, refusal, delays, guess } = prepare()
  await guesses(100, here, ann)
  delays.length = 0
  expect(refusal('here', 'bob')).toBeUndefined()
  expect(refusal('there', 'ann')).toBeUndefined()
  await guess('here', 'bob')
  await guess('there', 'ann')
  expect(delays).toEqual([])
})

test('many names from one address are limited together', async () => {
  const { guesses, delays, pass } = prepare()
  const names = (index: number) => `name${index}`
  expect(await guesses(1000, here, names)).toBe(20)
  expect(delays).toEqual([20, 40, ...Array(8).fill(50)])
  pass(1)
  expect(await guesses(1000, here, names)).toBe(5)
})

test('one name from many addresses is limited as a whole', async () => {
  const { guesses, pass } = prepare()
  const addresses = (index: number) => `address${index}`
  expect(await guesses(1000, addresses, ann)).toBe(30)
  pass(1)
  expect(await guesses(1000, addresses, ann)).toBe(10)
})

test('one who has logged in from an address gets in whatever others try, from there and elsewhere', async () => {
  const { failures, guesses, refusal, pass } = prepare()
  failures.succeed('here', 'ann')
  await guesses(1000, here, index => `name${index}`)
  await guesses(1000, index => `address${index}`, ann)
  expect(refusal('here', 'bob')).toBeDefined()
  expect(refusal('elsewhere', 'ann')).toBeDefined()
  expect(refusal('here', 'ann')).toBeUndefined()
  // Guesses from the very same place have a limit all the same, which is higher.
  expect(await guesses(1000, here, ann)).toBe(8)
  pass(0.5)
  expect(refusal('here', 'ann')).toBeUndefined()
  pass(25 * 3600)
  expect(await guesses(1000, here, ann)).toBe(5)
})

test('the same wrong password again is no guess', async () => {
  const { failures, delays } = prepare()
  await failures.add('here', 'ann', 'old')
  expect(failures.isRepeated('here', 'ann', 'old')).toBe(true)
  expect(failures.isRepeated('here', 'ann', 'other')).toBe(false)
  expect(failures.isRepeated('there', 'ann', 'old')).toBe(false)
  await failures.repeat()
  expect(delays).toEqual([50])
})

test('failures at the same time all count', async () => {
  const { failures, refusal } = prepare()
  await Promise.all(Array.from({ length: 5 }, () => failures.add('here', 'ann')))
  expect(refusal('here', 'ann')).toBeDefined()
})

test('however many addresses and names there are, and however long they are, memory is bounded', async () => {
  const { failures } = prepare(POLICY)
  const long = 'x'.repeat(16_000)
  for (let index = 0; index < 100_000; index++) {
    await failures.add(`address${index}`, `name${index}${index % 100 === 0 ? long : ''}`, `digest${index}`)
    failures.succeed(`address${index}`, `user${index}`)
  }
  expect(failures.size).toBeLessThanOrEqual(60_000)
})

test('whatever is tried, no pair has more guesses looked at than its rate allows', async () => {
  const step = fc.record({
    address: fc.constantFrom('a', 'b'),
    name: fc.constantFrom('ann', 'bob', 'cy'),
    wait: fc.integer({ min: 0, max: 2 }),
    count: fc.integer({ min: 1, max: 30 }),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async steps => {
      const { guesses, pass } = prepare()
      const looked: Record<string, number> = {}
      let seconds = 0
      for (const { address, name, wait, count } of steps) {
        pass(wait)
        seconds += wait
        const found = await guesses(
          count,
          () => address,
          () => name,
        )
        for (const key of [`${address} ${name}`, address, name]) looked[key] = (looked[key] ?? 0) + found
      }
      for (const [key, count] of Object.entries(looked)) {
        const { most, perSecond } = key.includes(' ')
          ? SMALL.pair
          : /^.$/.test(key)
            ? SMALL.address
            : SMALL.name
        expect(count).toBeLessThanOrEqual(most + seconds * perSecond)
      }
    }),
  )
})
