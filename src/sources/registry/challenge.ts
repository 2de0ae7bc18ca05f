/**
 * The credentials that a registry requests (RFC 7235, RFC 6750, the distribution project's token specification).
 */
export type Challenge = { scheme: 'basic' } | { scheme: 'bearer'; realm: URL }

/** Returns the first supported challenge. Throws an error with a message for the user. */
export function parseChallenge(header: string | string[] | undefined, registry: URL): Challenge {
  for (const text of [header ?? []].flat()) {
    const [, scheme = '', rest = ''] = /^\s*(\w+)\s*(.*)$/s.exec(text) ?? []
    if (scheme.toLowerCase() === 'basic') return { scheme: 'basic' }
    if (scheme.toLowerCase() === 'bearer') return { scheme: 'bearer', realm: tokenUrl(rest, registry) }
  }
  throw new Error(`${registry.host} requests an unsupported kind of credentials`)
}

function tokenUrl(parameters: string, registry: URL): URL {
  const found = [...parameters.matchAll(/(\w+)\s*=\s*(?:"([^"]*)"|([^\s,]+))/g)]
  const values = new Map(found.map(([, name, quoted, bare]) => [name!.toLowerCase(), quoted ?? bare ?? '']))
  const realm = values.get('realm') ?? ''
  if (!URL.canParse(realm)) throw new Error(`${registry.host} names no valid token server`)
  const url = new URL(realm)
  // A registry with TLS must not make the client send a password to another server unencrypted.
  const isSafe = url.protocol === 'https:' || (url.protocol === 'http:' && registry.protocol === 'http:')
  if (!isSafe) throw new Error(`${registry.host} refers to a token server without TLS`)
  for (const name of ['service', 'scope']) {
    const value = values.get(name)
    if (value) url.searchParams.set(name, value)
  }
  return url
}
