import type { IncomingMessage } from 'node:http'
import ipaddr from 'ipaddr.js'

/**
 * The address whose failed logins are counted together: of IPv6 the network of 64 bits, since a client has all of
 * its addresses.
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
