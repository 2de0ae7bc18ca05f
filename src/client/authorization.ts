import httpSignature from 'http-signature'
import sshpk from 'sshpk'
import { type Credentials, TargetError } from './target.ts'

/** The headers that say who asks. A signature is of its moment, so they are made for each request. */
export type Authorize = () => Record<string, string>

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
    // The library sets the header on a request, of which it asks no more than this.
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

/** Throws TargetError. */
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
