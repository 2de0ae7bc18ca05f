import { expect, test, vi } from 'vitest'
import { isPrivateAddress, publicLookup, refusePrivateHost } from '../../src/sources/address-guard.ts'
import { PATIENCE } from '../support/patience.ts'

test.each([
  '127.0.0.1',
  '127.8.8.8',
  '10.1.2.3',
  '172.16.0.1',
  '192.168.1.1',
  '169.254.169.254',
  '100.64.0.1',
  '0.0.0.0',
  '224.0.0.1',
  '255.255.255.255',
  '::1',
  '::',
  'fe80::1',
  'fc00::1',
  '::ffff:127.0.0.1',
  '::ffff:10.0.0.1',
  '64:ff9b::7f00:1',
  '2002:7f00:1::',
])('%s is not a public address', address => {
  expect(isPrivateAddress(address)).toBe(true)
})

test.each(['8.8.8.8', '93.184.216.34', '2606:2800:220:1:248:1893:25c8:1946', '::ffff:8.8.8.8'])(
  '%s is public',
  address => {
    expect(isPrivateAddress(address)).toBe(false)
  },
)

test.each([
  'http://127.0.0.1/',
  'http://2130706433/',
  'http://0x7f000001/',
  'http://0177.0.0.1/',
  'http://127.1/',
  'http://[::1]:8080/',
  'http://[::ffff:7f00:1]/',
  'http://localhost/',
])('%s is seen through', async url => {
  await expect(refusePrivateHost(new URL(url))).rejects.toThrow('is not a public address')
})

test('a name is judged again by what it resolves to when the connection is made', async () => {
  const answer = vi.fn()
  publicLookup('localhost', {}, answer)
  await vi.waitFor(() => expect(answer).toHaveBeenCalled(), { timeout: PATIENCE })
  expect(answer.mock.calls[0]?.[0]).toMatchObject({ name: 'PrivateAddressError' })
  const all = vi.fn()
  publicLookup('localhost', { all: true }, all)
  await vi.waitFor(() => expect(all).toHaveBeenCalled(), { timeout: PATIENCE })
  expect(all.mock.calls[0]?.[0]).toMatchObject({ name: 'PrivateAddressError' })
})
