import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { build } from 'esbuild'
import { commandsPage, configPage } from './man.mjs'

/**
 * Writes the documentation that is generated from the definitions of commands and config keys. With --check it writes
 * nothing, and exits with 1 if a file is not up to date.
 */

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** Bundles and imports definitions.ts, which Node 20 cannot run as it is. */
async function loadDefinitions() {
  const folder = mkdtempSync(join(ROOT, 'node_modules/.definitions-'))
  try {
    const outfile = join(folder, 'definitions.mjs')
    const entryPoints = [fileURLToPath(new URL('definitions.ts', import.meta.url))]
    await build({ entryPoints, outfile, bundle: true, platform: 'node', format: 'esm', packages: 'external' })
    return await import(pathToFileURL(outfile).href)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const TABLE = /(<!-- config: .* -->\n)[\s\S]*?(<!-- \/config -->)/

function configurationDocument({ listConfigKeys }) {
  const rows = listConfigKeys().map(({ name, isRequired, default: value, values, meaning }) => [
    `\`${name}\``,
    isRequired ? 'required' : value === undefined ? '' : `\`${value}\``,
    `${values.length > 0 ? `${values.map(choice => `\`${choice}\``).join(', ')}: ` : ''}${meaning}`,
  ])
  const head = ['key', 'default', 'meaning']
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map(row => row[column].length)))
  const rule = widths.map(width => '-'.repeat(width))
  // As the formatter pads it.
  const lines = [head, rule, ...rows].map(
    row => `| ${row.map((cell, i) => cell.padEnd(widths[i])).join(' | ')} |`,
  )
  const text = readFileSync(join(ROOT, 'support-files/doc/configuration.md'), 'utf8')
  return text.replace(TABLE, (_, start, end) => `${start}${lines.join('\n')}\n${end}`)
}

const DOCUMENTS = {
  'support-files/doc/configuration.md': configurationDocument,
  'support-files/man/imgapi.8': commandsPage,
  'support-files/man/imgapi.json.5': configPage,
}

const { check } = parseArgs({ options: { check: { type: 'boolean' } } }).values
const definitions = await loadDefinitions()
for (const [path, write] of Object.entries(DOCUMENTS)) {
  const text = write(definitions)
  const file = join(ROOT, path)
  if (!check) writeFileSync(file, text)
  else if (readFileSync(file, 'utf8') !== text) {
    console.error(`${path} is not up to date: npm run reference`)
    process.exitCode = 1
  }
}
