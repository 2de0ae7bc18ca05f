import type { Config } from '../../config/config.ts'
import { isLoopback } from '../../util/loopback.ts'

/** The password of the example config, which is published. */
const EXAMPLE_PASSWORD = 'secret'

/**
 * Returns a warning for each setting that is unsafe on an address that other machines can reach. `address`: the one
 * that the server listens on; undefined is every interface.
 */
export function exposureWarnings(
  { authType, accel, userdb }: Pick<Config, 'authType' | 'accel' | 'userdb'>,
  address: string | undefined,
): string[] {
  if (address !== undefined && isLoopback(address)) return []
  const warnings: string[] = []
  if (authType === 'none') {
    warnings.push(
      'authType is "none" and others can reach this server: every client may change and delete images',
    )
  }
  if (accel) {
    warnings.push(
      'accel is set and others can reach this server past its front: the files that they get are empty',
    )
  }
  if (userdb.some(({ password }) => password === EXAMPLE_PASSWORD)) {
    warnings.push(
      'a user has the password of the example config and others can reach this server: choose another, hash it with `imgapi passwd`, and put the hash into userdb',
    )
  }
  return warnings
}
