import { lookup as dnsLookup, type LookupAddress, type LookupOptions } from 'node:dns'
import { lookup } from 'node:dns/promises'
import { isIP, type LookupFunction } from 'node:net'
import ipaddr from 'ipaddr.js'

/**
 * Keeps a URL that somebody supplies from reaching into the network behind the server (server-side request
 * forgery): only public addresses, whatever the name says, at the time of the connection.
 */

/** What of IPv6 is routed. The rest has old disguises of IPv4 addresses in it, such as ::127.0.0.1. */
const GLOBAL_IPV6 = ipaddr.IPv6.parseCIDR('2000::/3')

/** An address that is not for everybody: loopback, link-local, private, reserved, or a disguise of one. */
export function isPrivateAddress(given: string): boolean {
  // `process` turns an IPv4 address in IPv6 clothes into what it is.
  const address = ipaddr.process(given)
  if (address.range() !== 'unicast') return true
  return address instanceof ipaddr.IPv6 && !address.match(GLOBAL_IPV6)
}

export class PrivateAddressError extends Error {
  override readonly name = 'PrivateAddressError'

  constructor(host: string, address: string) {
    const where = host === address ? address : `${host} (${address})`
    super(
      `${where} is not a public address; set "allowPrivateSources": true in the config if it may be a source`,
    )
  }
}

const hostOf = (url: URL) => url.hostname.replace(/^\[(.*)\]$/, '$1')

/** Throws PrivateAddressError for a URL whose host is, or now resolves to, a private address. */
export async function refusePrivateHost(url: URL) {
  refusePrivateLiteral(url)
  const host = hostOf(url)
  if (isIP(host)) return
  // A name that does not resolve now may resolve later: then the connection is checked.
  const addresses = await lookup(host, { all: true }).catch(() => [])
  const bad = addresses.find(({ address }) => isPrivateAddress(address))
  if (bad) throw new PrivateAddressError(host, bad.address)
}

/** The part that needs no DNS: connections to literal addresses do not pass through `publicLookup`. */
export function refusePrivateLiteral(url: URL) {
  const host = hostOf(url)
  if (isIP(host) && isPrivateAddress(host)) throw new PrivateAddressError(host, host)
}

/** `dns.lookup` for connections: what it resolves to is what is connected to, so it is judged here. */
export const publicLookup: LookupFunction = (host, options, callback) => {
  dnsLookup(host, { ...(options as LookupOptions), all: true }, (error, found) => {
    const addresses = found as LookupAddress[] | undefined
    if (error || !addresses) return callback(error, [])
    const bad = addresses.find(({ address }) => isPrivateAddress(address))
    if (bad) return callback(new PrivateAddressError(host, bad.address), [])
    if (options.all) callback(null, addresses)
    else callback(null, addresses[0]!.address, addresses[0]!.family)
  })
}
