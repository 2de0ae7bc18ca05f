import { lookup as dnsLookup, type LookupAddress, type LookupOptions } from 'node:dns'
import { lookup } from 'node:dns/promises'
import { isIP, type LookupFunction } from 'node:net'
import ipaddr from 'ipaddr.js'

/**
 * Prevents server-side request forgery: URLs that clients supply may reach public addresses only. The address is checked
 * again when the connection is made.
 */

/** The globally routed part of IPv6. The rest contains obsolete embeddings of IPv4, such as ::127.0.0.1. */
const GLOBAL_IPV6 = ipaddr.IPv6.parseCIDR('2000::/3')

/** Returns whether an address is not public: loopback, link-local, private, reserved, or an embedding of one. */
export function isPrivateAddress(given: string): boolean {
  // `process` converts IPv4-mapped IPv6 addresses to IPv4.
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

/** Does the same without DNS: connections to literal addresses do not use `publicLookup`. */
export function refusePrivateLiteral(url: URL) {
  const host = hostOf(url)
  if (isIP(host) && isPrivateAddress(host)) throw new PrivateAddressError(host, host)
}

/**
 * Replaces `dns.lookup` for connections. The address is checked at connect time, so a name that resolves differently
 * later cannot bypass the check.
 */
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
