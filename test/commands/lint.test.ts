import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { imgapi } from '../support/run.ts'
import { temporaryFolder } from '../support/server.ts'

const manifest = {
  v: 2,
  uuid: '6de01e97-d7ec-4906-bd8b-cb4eafdb7c8b',
  owner: '00000000-0000-0000-0000-000000000000',
  ...{ name: 'web', version: '1.0.0', type: 'zone-dataset', os: 'smartos' },
}

test('lint needs no server: each problem, its fix, and an exit code', async () => {
  const folder = temporaryFolder()
  const write = (name: string, value: object) => {
    writeFileSync(join(folder, name), JSON.stringify(value))
    return name
  }
  const good = write('good.imgmanifest', manifest)
  const odd = write('odd.imgmanifest', { ...manifest, v: '2' })
  const bad = write('bad.imgmanifest', { ...manifest, os: 'QEMU' })
  const options = { cwd: folder }
  expect(await imgapi(['lint', good], options)).toEqual({ code: 0, stdout: `${good}: ok\n`, stderr: '' })
  const warned = await imgapi(['lint', odd], options)
  expect(warned).toMatchObject({ code: 0, stdout: expect.stringContaining('warning: v: is text') })
  expect(await imgapi(['lint', '-q', odd], options)).toMatchObject({ code: 0, stdout: '' })
  const refused = await imgapi(['lint', good, bad], options)
  expect(refused.code).toBe(1)
  expect(refused.stdout).toContain(`${bad}: error: os: invalid image os, "QEMU"`)
  expect(refused.stdout).toContain('→ write "os": "other"')
  const [{ findings }] = JSON.parse((await imgapi(['lint', '--json', bad], options)).stdout)
  expect(findings).toMatchObject([{ level: 'error', field: 'os', fix: 'write "os": "other"' }])
  expect((await imgapi(['lint', '-'], { input: JSON.stringify(manifest) })).stdout).toBe('-: ok\n')
  mkdirSync(join(folder, 'empty'))
  expect((await imgapi(['lint', 'empty'], options)).code).toBe(1)
  expect((await imgapi(['lint', '.'], options)).stdout.split('\n')[0]).toContain('bad.imgmanifest: error')
  expect((await imgapi(['lint', 'nothing'], options)).code).toBe(1)
})
