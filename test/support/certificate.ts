import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { temporaryFolder } from './server.ts'

export interface Certificate {
  /** Paths of PEM files. */
  cert: string
  key: string
}

/** Makes a self-signed certificate for 127.0.0.1 with that common name, and its key, with openssl. */
export function selfSigned(name = '127.0.0.1'): Certificate {
  const folder = temporaryFolder()
  const made = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') }
  makeSelfSigned(made, name)
  return made
}

/** The same in files whose names the test gives. */
export function makeSelfSigned({ cert, key }: Certificate, name = '127.0.0.1') {
  const subject = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1']
  const made = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, ...subject]
  execFileSync('openssl', made, { stdio: 'ignore' })
}
