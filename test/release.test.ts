import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import packageJson from '../package.json' with { type: 'json' }
import { needsAll, requires } from './support/programs.ts'
import { run } from './support/run.ts'
import { PROGRAM, temporaryFolder } from './support/server.ts'

const ROOT = new URL('..', import.meta.url).pathname

const needsBinary = existsSync(join(ROOT, 'dist/imgapi'))
  ? needsAll({ tar: 'tar', sha256sum: 'coreutils' })
  : requires(false, 'there is no dist/imgapi: npm run build:binary')

needsBinary('a release has all that is shipped, and its checksums', async () => {
  const folder = temporaryFolder()
  const script = join(ROOT, 'support-files/build/release.mjs')
  const made = await run(process.execPath, [script, '--no-build', '--output', folder], { cwd: ROOT })
  expect(made).toMatchObject({ code: 0, stderr: '' })
  const name = `imgapi-${packageJson.version}`
  const executable = `${name}-${process.platform}-${process.arch}`
  expect(readdirSync(folder).sort()).toEqual(['SHA256SUMS', `${name}.js`, `${name}.tgz`, executable].sort())
  expect(await run('sha256sum', ['--check', '--strict', 'SHA256SUMS'], { cwd: folder })).toMatchObject({
    code: 0,
  })
  expect(readFileSync(join(folder, 'SHA256SUMS'), 'utf8').trim().split('\n')).toHaveLength(3)

  await run('tar', ['xzf', `${name}.tgz`], { cwd: folder })
  const shipped = readdirSync(join(folder, 'package'), { recursive: true, encoding: 'utf8' })
  for (const path of ['README.md', 'LICENSE', 'imgapi.example.json', 'support-files/imgapid.xml']) {
    expect(shipped).toContain(path)
  }
  expect(shipped).toContain('support-files/man/imgapi.8')
  expect(shipped.filter(path => /^(src|test|node_modules|support-files\/build)\b/.test(path))).toEqual([])
  const program = join(folder, 'package/dist/imgapi.js')
  expect(readFileSync(program).equals(readFileSync(PROGRAM))).toBe(true)
  const version = { code: 0, stdout: `${packageJson.version}\n`, stderr: '' }
  expect(await run(process.execPath, [program, '--version'])).toEqual(version)
  const alone = join(folder, executable)
  expect(await run(alone, ['--version'], { env: { PATH: '/nowhere' } })).toEqual(version)
})
