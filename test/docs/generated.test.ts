import { describe, expect, test } from 'vitest'
import { COMMANDS } from '../../src/commands/index.ts'
import { parseConfig } from '../../src/config/config.ts'
import { listConfigKeys } from '../../src/config/reference.ts'
import { ROOT, read } from '../support/documents.ts'
import { needs } from '../support/programs.ts'
import { imgapi, run } from '../support/run.ts'

describe('documentation that is generated', () => {
  test('is up to date', async () => {
    const { code, stderr } = await run(process.execPath, ['support-files/build/reference.mjs', '--check'], {
      cwd: ROOT,
    })
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  })

  const PAGES = ['support-files/man/imgapi.8', 'support-files/man/imgapi.json.5']

  needs('mandoc', 'mandoc')('the manual pages have no mistake that mandoc finds', async () => {
    const { stdout } = await run('mandoc', ['-T', 'lint', ...PAGES], { cwd: ROOT })
    // These pages may not be installed here.
    expect(stdout.split('\n').filter(line => line && !line.includes('referenced manual not found'))).toEqual(
      [],
    )
  })

  needs('mandoc', 'mandoc')('the manual pages show every command, option and key', async () => {
    // Bold is a character, a backspace, and the character again.
    const plain = (text: string) => text.split('\b').reduce((before, after) => before.slice(0, -1) + after)
    const rendered = async (page: string) =>
      plain((await run('mandoc', ['-T', 'utf8', '-O', 'width=200', page], { cwd: ROOT })).stdout)
    const [commands, config] = await Promise.all(PAGES.map(rendered))
    for (const [name, { args }] of Object.entries(COMMANDS)) {
      expect(commands).toMatch(new RegExp(`^ {5}${name}\\b`, 'm'))
      for (const [flag, { type }] of Object.entries(args)) {
        if (type !== 'positional') expect(commands).toContain(`--${flag}`)
      }
    }
    for (const { name } of listConfigKeys()) expect(config!.split(/\s+/)).toContain(name)
    const [, example] = /^\.Bd .*\n([\s\S]*?)^\.Ed/m.exec(read(PAGES[1]!))!
    parseConfig(JSON.parse(example!), PAGES[1]!)
  })

  test('describes every key of the config, and the table shows them', () => {
    const keys = listConfigKeys()
    expect(keys.filter(({ meaning }) => meaning === '')).toEqual([])
    const table = read('support-files/doc/configuration.md')
    for (const { name, meaning } of keys) {
      const row = table.split('\n').find(line => line.startsWith(`| \`${name}\` `))
      expect(row).toContain(`${meaning} `)
    }
  })

  test('`imgapi help config` prints every key with default and meaning, in 80 columns', async () => {
    const { code, stdout, stderr } = await imgapi(['help', 'config'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const lines = stdout.split('\n')
    expect(lines.filter(line => line.length > 80)).toEqual([])
    const flat = stdout.replace(/\s+/g, ' ')
    for (const { name, isRequired, default: value, values, meaning } of listConfigKeys()) {
      const remark = isRequired ? '  (required)' : value === undefined ? '' : `  (default: ${value})`
      expect(lines).toContain(`  ${name}${remark}`)
      for (const choice of values) expect(flat).toContain(choice)
      expect(flat).toContain(meaning.slice(1).replaceAll('`', ''))
    }
  })
})
