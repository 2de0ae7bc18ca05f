import { generateKeyPairSync } from 'node:crypto'
import httpSignature from 'http-signature'
import sshpk from 'sshpk'
import { loadClient } from './old-clients.ts'

/** SSH keys, and requests signed with them as clients of the datacenters sign theirs. */

export interface KeyPair {
  /** As a client has it in a file. */
  secret: string
  /** A line of `authorized_keys`. */
  line: string
}

const secretOf = {
  rsa: () =>
    sshpk.parsePrivateKey(
      generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs1', format: 'pem' }),
      'pem',
    ),
  ecdsa: () => sshpk.generatePrivateKey('ecdsa', { curve: 'nistp256' }),
  ed25519: () => sshpk.generatePrivateKey('ed25519'),
}

export type KeyKind = keyof typeof secretOf
export const KEY_KINDS = Object.keys(secretOf) as KeyKind[]

export function makeKey(kind: KeyKind): KeyPair {
  const key = secretOf[kind]()
  return { secret: key.toString('openssh'), line: key.toPublic().toString('ssh') }
}

/** What `sdc-clients` takes as its option `sign`. */
export const cliSigner = (user: string, { secret }: KeyPair): unknown => signerOf({ user, key: secret })

const signerOf = (options: object): unknown => loadClient('smartdc-auth').privateKeySigner(options)

export interface Signed {
  user: string
  key: KeyPair
  /** Headers to sign, in their order; default a date of now. `(request-target)` is the path of a GET. */
  headers?: Record<string, string>
  algorithm?: string
}

/** The headers of a request with a signature over some of them. */
export function signedHeaders({ user, key, headers, algorithm }: Signed): Promise<Record<string, string>> {
  const signed = headers ?? { date: new Date().toUTCString() }
  const sign = signerOf({ user, key: key.secret, ...(algorithm && { algorithm }) }) as Sign
  // Its own `key` option signs something else than what it then sends: a line break comes first.
  const options = {
    sign: (data: string, callback: SignCallback) =>
      sign(data, (error, signature) => callback(error, signature && { ...signature, keyId: user })),
  }
  // The library's types lack what its documentation offers.
  const signer = (httpSignature as unknown as { createSigner(options: object): Signer }).createSigner(options)
  for (const [name, value] of Object.entries(signed)) {
    if (name === '(request-target)') signer.writeTarget('GET', value)
    else signer.writeHeader(name, value)
  }
  const sent = Object.fromEntries(Object.entries(signed).filter(([name]) => !name.startsWith('(')))
  return new Promise((resolve, reject) => {
    signer.sign((error, authorization) => {
      if (error) reject(error)
      else resolve({ ...sent, authorization })
    })
  })
}

interface Signer {
  writeHeader(name: string, value: string): void
  writeTarget(method: string, path: string): void
  sign(callback: (error: Error | null, authorization: string) => void): void
}

type SignCallback = (error: Error | null, signature?: object) => void
type Sign = (data: string, callback: SignCallback) => void
