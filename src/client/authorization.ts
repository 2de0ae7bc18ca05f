import httpSignature from 'http-signature'
import sshpk from 'sshpk'
import { type Credentials, TargetError } from './target.ts'

/** Returns the authentication headers of one request; a signature covers the current date. */
export type Authorize = () => Record<string, string>

/** Returns the function that makes the headers; without credentials they are empty. Throws TargetError. */
export function authorizer(credentials: Credentials | undefined): Authorize {
  if (!credentials) return () => ({})
  if (credentials.type === 'basic') {
    const { user, password } = credentials
    const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
    return () => ({ authorization })
  }
  return signer(credentials)
}

function signer({ user, key }: Extract<Credentials, { type: 'signature' }>): Authorize {
  checkKey(key)
  return () => {
    // The library expects a request of Node; these are the members that it uses.
    const headers: Record<string, string> = { date: new Date().toUTCString() }
    const request = {
      method: 'GET',
      path: '/',
      getHeader: (name: string) => headers[name.toLowerCase()],
      setHeader: (name: string, value: string) => {
        headers[name.toLowerCase()] = value
      },
    }
    const sign = httpSignature.sign as unknown as (request: unknown, options: unknown) => boolean
    sign(request, { key, keyId: user, headers: ['date'] })
    return headers
  }
}

/** Checks that the key is a private key without a passphrase. Throws TargetError. */
function checkKey(key: string) {
  try {
    sshpk.parsePrivateKey(key, 'auto')
  } catch (error) {
    const isEncrypted = (error as Error).name === 'KeyEncryptedError'
    const reason = isEncrypted
      ? 'the key has a passphrase: use one that has none, or a password'
      : 'this is not a private key'
    throw new TargetError(`IMGAPI_IDENTITY: ${reason}`)
  }
}
