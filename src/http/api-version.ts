import semver from 'semver'
import { ImgapiError } from '../images/errors.ts'

/**
 * `Accept-Version` (reference contract, 2.4). There are versions 1.0.0 and 2.0.0 of the API and one difference:
 * `channels` in image objects, which broke the clients of version 1.
 */
export function acceptsChannels(accepted: string | undefined, method: string, path: string): boolean {
  // What nearly everyone sends, decided without parsing.
  if (accepted === undefined || accepted === '~1') return false
  if (accepted === '*' || accepted === '~2') return true
  const admits = (version: string) => semver.satisfies(version, accepted)
  if (semver.validRange(accepted) === null || !(admits('1.0.0') || admits('2.0.0'))) {
    throw new ImgapiError('InvalidVersion', `${accepted} is not supported by ${method} ${path}`)
  }
  return admits('2.0.0')
}
