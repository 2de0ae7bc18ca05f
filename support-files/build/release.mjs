import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import packageJson from '../../package.json' with { type: 'json' }

/**
 * Makes a release in dist/release/ (or --output FOLDER): the tarball, the single file, the executable for this
 * platform, and their SHA-256 checksums. With --no-build it uses the program that is in dist/.
 */

const { output, build } = parseArgs({
  options: { output: { type: 'string', default: 'dist/release' }, build: { type: 'boolean', default: true } },
  allowNegative: true,
}).values

function run(program, args) {
  const { status, error } = spawnSync(program, args, { stdio: ['ignore', 'ignore', 'inherit'] })
  if (status !== 0) throw error ?? new Error(`${program} ${args.join(' ')} ended with ${status}`)
}

if (build) run(process.execPath, ['support-files/build/bundle.mjs', '--binary'])
rmSync(output, { recursive: true, force: true })
mkdirSync(output, { recursive: true })
// What is in it: `files` in package.json.
run('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', output])
const name = `imgapi-${packageJson.version}`
copyFileSync('dist/imgapi.js', join(output, `${name}.js`))
copyFileSync('dist/imgapi', join(output, `${name}-${process.platform}-${process.arch}`))

const sums = readdirSync(output)
  .sort()
  .map(
    file =>
      `${createHash('sha256')
        .update(readFileSync(join(output, file)))
        .digest('hex')}  ${file}\n`,
  )
writeFileSync(join(output, 'SHA256SUMS'), sums.join(''))
console.log(
  readdirSync(output)
    .map(file => join(output, file))
    .join('\n'),
)
