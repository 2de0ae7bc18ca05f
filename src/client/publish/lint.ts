import { type ParseError, parse as parseLeniently, printParseErrorCode, visit } from 'jsonc-parser'
import { ImgapiError, problemOf } from '../../images/errors.ts'
import { readManifest, sortFields } from '../../images/intake.ts'
import { isObject } from '../../images/rules.ts'
import { validateManifest } from '../../images/validate.ts'
import { withWrittenText } from '../../images/written-text.ts'
import { adviceOn } from './advice.ts'
import { error, type Finding, warning } from './finding.ts'
import { fixFor } from './fixes.ts'

/** What is wrong with a manifest, each thing with its remedy, without a server. */

export interface Linted {
  findings: Finding[]
  /** What the text says, if it says anything that can be a manifest: without nulls, version 1 upgraded. */
  manifest?: Record<string, unknown>
}

export const hasErrors = ({ findings }: Linted) => findings.some(({ level }) => level === 'error')

export function lint(text: string): Linted {
  const findings: Finding[] = []
  const bare = text.replace(/^\uFEFF/, '')
  if (bare !== text) {
    findings.push(warning('the file', 'begins with a byte order mark', 'save it as UTF-8 without one'))
  }
  const value = parse(bare, findings)
  if (value === undefined) return { findings }
  if (!isObject(value)) {
    const problem = `is ${Array.isArray(value) ? 'a list' : JSON.stringify(value)}, not a JSON object`
    const fix = Array.isArray(value) ? 'put one manifest into each file' : 'write {"v": 2, "uuid": ..., ...}'
    return { findings: [...findings, error('the manifest', problem, fix)] }
  }
  findings.push(...duplicates(bare))
  const manifest = readManifest(withWrittenText(value, bare))
  findings.push(...checkFields(manifest), ...adviceOn(value, manifest))
  return { findings: withoutDoubles(findings), manifest }
}

/** Undefined, and a finding, if it is no JSON. */
function parse(text: string, findings: Finding[]): unknown {
  if (text.trim() === '') {
    findings.push(error('the file', 'is empty', 'copy the manifest again'))
    return undefined
  }
  try {
    return JSON.parse(text)
  } catch {
    const errors: ParseError[] = []
    parseLeniently(text, errors, { disallowComments: true })
    const [first] = errors
    const offset = first?.offset ?? 0
    const lines = text.slice(0, offset).split('\n')
    const where = `line ${lines.length}, column ${lines.at(-1)!.length + 1}`
    const what = first ? printParseErrorCode(first.error) : 'a character that must not be there'
    findings.push(error('the file', `is not valid JSON: ${where}: ${words(what)}`, jsonFix(what)))
    return undefined
  }
}

/** `ValueExpected` as words. */
const words = (code: string) => code.replace(/(?<=[a-z])(?=[A-Z])/g, ' ').toLowerCase()

function jsonFix(code: string): string {
  if (code === 'InvalidCommentToken') return 'remove the comment: JSON has none'
  if (/^(PropertyNameExpected|ValueExpected)$/.test(code)) {
    return 'write a value there, or remove the comma before it'
  }
  return 'correct it there; `jq . FILE` shows whether it is right'
}

/** The last of two counts, which is rarely what was meant. */
function duplicates(text: string): Finding[] {
  const open: Set<string>[] = []
  const findings: Finding[] = []
  visit(text, {
    onObjectBegin: () => {
      open.push(new Set())
    },
    onObjectEnd: () => {
      open.pop()
    },
    onObjectProperty: name => {
      const names = open.at(-1)!
      if (names.has(name))
        findings.push(warning(name, 'stands there twice; the last one counts', 'remove one'))
      names.add(name)
    },
  })
  return findings
}

/** By the rules that a server has for imports. */
function checkFields(manifest: Record<string, unknown>): Finding[] {
  const findings: Finding[] = []
  const collect = (run: () => void) => {
    try {
      run()
    } catch (problem) {
      if (!(problem instanceof ImgapiError)) throw problem
      findings.push(
        ...(problem.errors ?? []).map(one =>
          error(one.field, problemOf(one), fixFor(one.field, one.code, manifest)),
        ),
      )
    }
  }
  collect(() => sortFields(manifest, 'import'))
  collect(() =>
    validateManifest(
      // What a server sets itself, or what it ignores in an import.
      { disabled: false, public: false, owner: NOBODY, ...manifest, state: 'unactivated', ...IGNORED },
      { mode: 'standalone', channels: false },
    ),
  )
  return findings
}

const NOBODY = '00000000-0000-0000-0000-000000000000'
const IGNORED = { files: undefined, icon: undefined, error: undefined, channels: undefined }

/** A field of one type on an image of another is found by two rules. */
function withoutDoubles(findings: Finding[]): Finding[] {
  const seen = new Set<string>()
  return findings.filter(({ field, level, fix }) => {
    const key = JSON.stringify([level, field, fix])
    const isNew = !seen.has(key)
    seen.add(key)
    return isNew
  })
}
