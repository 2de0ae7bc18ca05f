import { type ParseError, parse as parseLeniently, printParseErrorCode, visit } from 'jsonc-parser'
import { ImgapiError, problemOf } from '../errors.ts'
import { NO_OWNER } from '../fields.ts'
import { readManifest, sortFields } from '../intake.ts'
import { isObject } from '../rules.ts'
import { validateManifest } from '../validate.ts'
import { withWrittenText } from '../written-text.ts'
import { adviceOn } from './advice.ts'
import { error, type Finding, warning } from './finding.ts'
import { fixFor } from './fixes.ts'

/** Checks a manifest without a server; each finding says how to correct it. */

export interface LintResult {
  findings: Finding[]
  /** The manifest, if the text is a JSON object: without nulls, version 1 upgraded. */
  manifest?: Record<string, unknown>
}

/** Returns the findings for the text of a manifest. */
export function lint(text: string): LintResult {
  const findings: Finding[] = []
  const content = text.replace(/^\uFEFF/, '')
  if (content !== text) {
    findings.push(warning('the file', 'begins with a byte order mark', 'save it as UTF-8 without one'))
  }
  const value = parse(content, findings)
  if (value === undefined) return { findings }
  if (!isObject(value)) {
    const problem = `is ${Array.isArray(value) ? 'a list' : JSON.stringify(value)}, not a JSON object`
    const fix = Array.isArray(value) ? 'put one manifest into each file' : 'write {"v": 2, "uuid": ..., ...}'
    return { findings: [...findings, error('the manifest', problem, fix)] }
  }
  findings.push(...duplicates(content))
  const manifest = readManifest(withWrittenText(value, content))
  findings.push(...checkFields(manifest), ...adviceOn(value, manifest))
  return { findings: deduplicate(findings), manifest }
}

/** Parses the text. Adds a finding and returns undefined if it is not JSON. */
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
    const what = first ? printParseErrorCode(first.error) : 'unexpected character'
    findings.push(error('the file', `is not valid JSON: ${where}: ${words(what)}`, jsonFix(what)))
    return undefined
  }
}

/** Turns `ValueExpected` into `value expected`. */
const words = (code: string) => code.replace(/(?<=[a-z])(?=[A-Z])/g, ' ').toLowerCase()

function jsonFix(code: string): string {
  if (code === 'InvalidCommentToken') return 'remove the comment: JSON has none'
  if (/^(PropertyNameExpected|ValueExpected)$/.test(code)) {
    return 'write a value there, or remove the comma before it'
  }
  return 'correct it there; check the result with `jq . FILE`'
}

/** Warns of keys that are given twice: JSON.parse silently uses the last value. */
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
      if (names.has(name)) findings.push(warning(name, 'is given twice; the last one wins', 'remove one'))
      names.add(name)
    },
  })
  return findings
}

/** Applies the rules of a server for imports. */
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
      // Fields that the server sets itself or ignores in an import.
      { disabled: false, public: false, owner: NO_OWNER, ...manifest, state: 'unactivated', ...IGNORED },
      { mode: 'standalone', channels: false },
    ),
  )
  return findings
}

const IGNORED = { files: undefined, icon: undefined, error: undefined, channels: undefined }

/** Removes findings that two rules report for the same field. */
function deduplicate(findings: Finding[]): Finding[] {
  const seen = new Set<string>()
  return findings.filter(({ field, level, fix }) => {
    const key = JSON.stringify([level, field, fix])
    const isNew = !seen.has(key)
    seen.add(key)
    return isNew
  })
}
