import { invalidParameter } from '../images/errors.ts'
import { PrivateAddressError, refusePrivateHost } from './address-guard.ts'
import type { HttpClient } from './http-client.ts'

/**
 * Validates a URL from a client. Throws InvalidParameter, which names the field, if it is not a URL, its scheme is not
 * http or https, or it has a private address that the config does not allow.
 */
export async function readSourceUrl(client: HttpClient, field: string, given: unknown): Promise<URL> {
  const url = typeof given === 'string' && URL.canParse(given) ? new URL(given) : undefined
  if (!url) throw invalidParameter(field, `invalid "${field}": not a URL`)
  if (!/^https?:$/.test(url.protocol)) {
    throw invalidParameter(field, `invalid "${field}": only http and https URLs are supported`)
  }
  if (client.allowsPrivate) return url
  try {
    await refusePrivateHost(url)
  } catch (error) {
    if (!(error instanceof PrivateAddressError)) throw error
    throw invalidParameter(field, `invalid "${field}": ${error.message}`)
  }
  return url
}
