import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { lint as lintText } from '../images/lint/lint.ts'
import { pairNames } from '../util/manifest-pairs.ts'
import { OperatorError } from '../util/operator-error.ts'
import { command } from './command.ts'
import { readText } from './fields.ts'
import { dim, green, red, yellow } from './terminal.ts'

export const lint = command({
  meta: {
    name: 'lint',
    description: 'Check manifests without a server, and suggest corrections',
  },
  args: {
    file: {
      type: 'positional',
      rest: true,
      valueHint: 'FILE',
      description: 'manifests, folders of manifests with their files, or - for stdin',
      complete: 'file',
    },
    json: { type: 'boolean', alias: 'j', description: 'print JSON' },
    quiet: { type: 'boolean', alias: 'q', description: 'errors only, no warnings' },
  },
  examples: [
    'imgapi lint my-image-1.0.0.imgmanifest',
    'imgapi lint ./images/',
    'imgapi lint - < manifest.json',
  ],
  async run({ file: paths, json, quiet }) {
    const results = paths.flatMap(manifestsAt).map(path => {
      const findings = lintText(readText(path)).findings
      return { file: path, findings: quiet ? findings.filter(({ level }) => level === 'error') : findings }
    })
    if (json) console.log(JSON.stringify(results, null, 2))
    else for (const { file, findings } of results) show(file, findings, quiet)
    const isBad = results.some(({ findings }) => findings.some(({ level }) => level === 'error'))
    if (isBad) process.exitCode = 1
  },
})

/** Expands a folder to the manifests in it, without other JSON files such as package.json. Throws OperatorError. */
function manifestsAt(path: string): string[] {
  if (path === '-' || !statSync(path, { throwIfNoEntry: false })?.isDirectory()) return [path]
  const { pairs, unpairedManifests } = pairNames(readdirSync(path))
  const names = [...pairs.map(({ manifest }) => manifest), ...unpairedManifests].sort()
  if (names.length === 0) throw new OperatorError(`${path}: contains no manifest`)
  return names.map(name => join(path, name))
}

function show(file: string, findings: ReturnType<typeof lintText>['findings'], quiet: boolean) {
  if (findings.length === 0 && !quiet) console.log(`${file}: ${green('ok')}`)
  for (const { level, field, problem, fix } of findings) {
    const word = level === 'error' ? red('error') : yellow('warning')
    console.log(`${file}: ${word}: ${field}: ${problem}\n  ${dim('→')} ${fix}`)
  }
}
