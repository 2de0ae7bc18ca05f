import { expect, test } from 'vitest'
import { type FailurePolicy, LoginFailures } from '../../src/auth/failures.ts'

const POLICY: FailurePolicy = { free: 2, most: 5, firstDelay: 20, longestDelay: 50, lockout: 200 }

async function fail(failures: LoginFailures, address: string): Promise<number> {
  const started = performance.now()
  await failures.add(address)
  return performance.now() - started
}

const refusal = (failures: LoginFailures, address: string) => {
  try {
    failures.check(address)
    return undefined
  } catch (error) {
    return error
  }
}

test('the first failures are free, then each takes twice as long, up to a limit', async () => {
  const failures = new LoginFailures(POLICY)
  const took: number[] = []
  for (let count = 0; count < 5; count++) took.push(await fail(failures, 'a'))
  expect(Math.max(...took.slice(0, 2))).toBeLessThan(19)
  for (const [index, delay] of [20, 40, 50].entries()) {
    // Timers may fire a millisecond early.
    expect(took[index + 2]).toBeGreaterThan(delay - 2)
  }
})

test('after too many failures an address is shut out, and told for how long', async () => {
  const failures = new LoginFailures({ ...POLICY, lockout: 60_000 })
  for (let count = 1; count <= POLICY.most; count++) {
    expect(refusal(failures, 'a')).toBeUndefined()
    await failures.add('a')
  }
  expect(refusal(failures, 'a')).toMatchObject({
    code: 'TooManyRequests',
    status: 429,
    headers: { 'Retry-After': '60' },
  })
})

test('other addresses are not affected', async () => {
  const failures = new LoginFailures(POLICY)
  await Promise.all(Array.from({ length: 10 }, () => failures.add('a')))
  expect(refusal(failures, 'b')).toBeUndefined()
  expect(await fail(failures, 'b')).toBeLessThan(19)
})

test('an address that waited starts anew', async () => {
  const failures = new LoginFailures({ ...POLICY, firstDelay: 0, longestDelay: 0, lockout: 30 })
  await Promise.all(Array.from({ length: 5 }, () => failures.add('a')))
  expect(refusal(failures, 'a')).toBeDefined()
  await expect.poll(() => refusal(failures, 'a'), { timeout: 5000 }).toBeUndefined()
  await failures.add('a')
  expect(refusal(failures, 'a')).toBeUndefined()
})

test('a success is a new start', async () => {
  const failures = new LoginFailures({ ...POLICY, firstDelay: 0, longestDelay: 0 })
  for (let count = 1; count < POLICY.most; count++) await failures.add('a')
  failures.clear('a')
  await failures.add('a')
  expect(refusal(failures, 'a')).toBeUndefined()
})

test('failures at the same time all count', async () => {
  const failures = new LoginFailures(POLICY)
  const all = Array.from({ length: POLICY.most }, () => failures.add('a'))
  expect(refusal(failures, 'a')).toBeDefined()
  await Promise.all(all)
})
