import semver from 'semver'
import { invalidVersion } from '../images/errors.ts'

/**
 * Returns whether a client with that `Accept-Version` expects `channels` in manifests (reference contract, 2.4). This
 * is the only difference between the versions 1.0.0 and 2.0.0 of the API. Throws InvalidVersion.
 */
export function acceptsChannels(accepted: string | undefined, method: string, path: string): boolean {
  // Nearly all clients send one of these, so they are decided without parsing.
  if (accepted === undefined || accepted === '~1') return false
  if (accepted === '*' || accepted === '~2') return true
  const admits = (version: string) => semver.satisfies(version, accepted)
  if (semver.validRange(accepted) === null || !(admits('1.0.0') || admits('2.0.0'))) {
    throw invalidVersion(`${accepted} is not supported by ${method} ${path}`)
  }
  return admits('2.0.0')
}
