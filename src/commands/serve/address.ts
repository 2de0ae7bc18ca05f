import { networkInterfaces } from 'node:os'
import type { Config } from '../../config/config.ts'
import { isLoopback } from '../../util/loopback.ts'

/**
 * Returns the address to listen on; undefined is every interface. `host` may be a name that only clients know, so it
 * is bound only if it is an address of this machine.
 */
export function addressToBind({ address, host }: Pick<Config, 'address' | 'host'>): string | undefined {
  if (address !== undefined) return address
  if (host === 'localhost') return '127.0.0.1'
  const own = Object.values(networkInterfaces()).flatMap(list => list ?? [])
  return own.some(candidate => candidate.address === host) || isLoopback(host) ? host : undefined
}
