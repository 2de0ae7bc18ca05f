import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { temporaryFolder } from './server.ts'

/** Files with a certificate for this machine that nobody vouches for, and its key; made by openssl. */
export function selfSigned(): { cert: string; key: string } {
  const folder = temporaryFolder()
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
  const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1']
  const made = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, ...subject]
  execFileSync('openssl', made, { stdio: 'ignore' })
  return { cert, key }
}
