import type { IncomingMessage } from 'node:http'
import ipaddr from 'ipaddr.js'

/**
 * Returns the address under which failed logins are counted. For IPv6 that is the /64 network, because a client can
 * use all of its addresses.
 */
export function clientAddress({ socket: { remoteAddress = 'unknown' } }: IncomingMessage): string {
  if (!remoteAddress.includes(':') || !ipaddr.isValid(remoteAddress)) return remoteAddress
  const address = ipaddr.process(remoteAddress)
  if (address.kind() === 'ipv4') return address.toString()
  return `${(address as ipaddr.IPv6).parts
    .slice(0, 4)
    .map(part => part.toString(16))
    .join(':')}::/64`
}
