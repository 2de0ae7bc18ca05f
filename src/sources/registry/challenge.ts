/** What a registry wants to be shown (RFC 7235, RFC 6750, the distribution project's token specification). */
export type Challenge = { scheme: 'basic' } | { scheme: 'bearer'; realm: URL }

/** The first challenge that we can answer. Throws an error for people. */
export function parseChallenge(header: string | string[] | undefined, registry: URL): Challenge {
  for (const text of [header ?? []].flat()) {
    const [, scheme = '', rest = ''] = /^\s*(\w+)\s*(.*)$/s.exec(text) ?? []
    if (scheme.toLowerCase() === 'basic') return { scheme: 'basic' }
    if (scheme.toLowerCase() === 'bearer') return { scheme: 'bearer', realm: tokenUrl(rest, registry) }
  }
  throw new Error(`${registry.host} wants credentials of a kind that is not supported`)
}

function tokenUrl(parameters: string, registry: URL): URL {
  const found = [...parameters.matchAll(/(\w+)\s*=\s*(?:"([^"]*)"|([^\s,]+))/g)]
  const values = new Map(found.map(([, name, quoted, bare]) => [name!.toLowerCase(), quoted ?? bare ?? '']))
  const realm = values.get('realm') ?? ''
  if (!URL.canParse(realm)) throw new Error(`${registry.host} does not say where to get a token`)
  const url = new URL(realm)
  // What a registry with TLS says must not send a password in clear to somebody else.
  const isSafe = url.protocol === 'https:' || (url.protocol === 'http:' && registry.protocol === 'http:')
  if (!isSafe) throw new Error(`${registry.host} wants a token from an address without TLS`)
  for (const name of ['service', 'scope']) {
    const value = values.get(name)
    if (value) url.searchParams.set(name, value)
  }
  return url
}
