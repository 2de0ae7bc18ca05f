import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { done } from '../support/cli.ts'
import { needs } from '../support/programs.ts'
import { imgapi } from '../support/run.ts'
import { startServer, temporaryFolder } from '../support/server.ts'

const withKeygen = needs('ssh-keygen', 'openssh-client')

for (const type of ['rsa', 'ecdsa', 'ed25519']) {
  withKeygen(`a key of type ${type} in IMGAPI_IDENTITY signs requests`, async () => {
    const key = join(temporaryFolder(), 'key')
    execFileSync('ssh-keygen', ['-q', '-t', type, '-N', '', '-f', key])
    const authKeys = { builder: [readFileSync(`${key}.pub`, 'utf8')] }
    const server = await startServer({ config: { authType: 'signature', authKeys } })
    const env = { IMGAPI_URL: server.url, IMGAPI_USER: 'builder', IMGAPI_IDENTITY: key, IMGAPI_PASSWORD: '' }
    const fields = ['name=web', 'version=1', 'type=other', 'os=other']
    await done(imgapi(['create', ...fields], { env }))
    expect((await done(imgapi(['list', 'state=all', '-H', '-o', 'name'], { env }))).stdout).toBe('web\n')
  })
}
