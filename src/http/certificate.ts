import { readFileSync } from 'node:fs'
import type { SecureContextOptions } from 'node:tls'
import { createSecureContext } from 'node:tls'
import { OperatorError } from '../util/operator-error.ts'

/** The PEM files of a certificate and its key. */
export interface CertificateFiles {
  cert: string
  key: string
}

/**
 * Reads a certificate and its key. TLS 1.2 is allowed because old platforms support nothing newer; Node's default
 * ciphers include theirs. Throws OperatorError if a file is missing or the two do not match.
 */
export function readCertificate({ cert, key }: CertificateFiles): SecureContextOptions {
  const options = { cert: read('cert', cert), key: read('key', key), minVersion: 'TLSv1.2' } as const
  try {
    createSecureContext(options)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const reason = code === 'ERR_OSSL_X509_KEY_VALUES_MISMATCH' ? 'they do not belong together' : message
    throw new OperatorError(`tls: the certificate ${cert} and the key ${key} cannot be used: ${reason}`)
  }
  return options
}

function read(which: string, path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    throw new OperatorError(`tls.${which}: cannot read the file: ${(error as Error).message}`)
  }
}
