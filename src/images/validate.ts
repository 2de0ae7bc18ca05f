import type { z } from 'zod'
import { type FieldError, validationFailed } from './errors.ts'
import { FIELD_NAMES, FIELDS, type FieldName, type ManifestFields, policyOf } from './fields.ts'
import { json } from './rules.ts'

export type Mode = 'standalone' | 'public' | 'private' | 'dc'

export interface ManifestRules {
  mode: Mode
  /** Whether the server has channels: the field is required then, and refused otherwise. */
  channels: boolean
}

const FORBIDDEN_PUBLIC = {
  public: { value: false, message: 'private images are not allowed on a public Images API' },
  private: { value: true, message: 'public images are not allowed on a private Images API' },
} as const

function fieldError(name: FieldName, issue: z.core.$ZodIssue): FieldError {
  const params = issue.code === 'custom' ? issue.params : undefined
  // Items of an array and keys of an object are problems of the field, except in `requirements`.
  const field = params?.field ?? (name === 'requirements' ? [name, ...issue.path].join('.') : name)
  const code = params?.code ?? 'Invalid'
  return { field, code, ...(issue.message !== '' && { message: issue.message }) }
}

/** Returns the problem of a field that images of this type must not have. */
function misplaced(name: FieldName, value: unknown, type: unknown): string | undefined {
  if (policyOf(name).zvol && type !== 'zvol') {
    // The wording is wrong, but it is that of the reference server.
    return `invalid image ${name}: "${value}" (cannot have a value when image type is zvol)`
  }
  if (name === 'inherited_directories' && type !== 'zone-dataset') {
    return `invalid image "${name}" (only valid for a type:zone-dataset image): ${json(value)}`
  }
  return undefined
}

function problemsOfRequest(name: FieldName, value: unknown, rules: ManifestRules): string | undefined {
  if (name === 'channels' && !rules.channels) {
    return 'channels is invalid with an IMGAPI not configured for channels'
  }
  if (name === 'public' && (rules.mode === 'public' || rules.mode === 'private')) {
    const forbidden = FORBIDDEN_PUBLIC[rules.mode]
    if (value === forbidden.value) return forbidden.message
  }
  return undefined
}

/**
 * Validates a manifest against the table of fields and returns it typed: numbers and flags that were text are
 * converted, and fields that are not in the table are omitted. Throws ValidationFailed with all problems.
 */
export function validateManifest(candidate: Record<string, unknown>, rules: ManifestRules): ManifestFields {
  const errors: FieldError[] = []
  const manifest: Partial<Record<FieldName, unknown>> = {}
  for (const name of FIELD_NAMES) {
    const value = candidate[name]
    const { required, zvol } = policyOf(name)
    if (value === undefined) {
      if (required || (zvol && candidate.type === 'zvol') || (name === 'channels' && rules.channels)) {
        errors.push({ field: name, code: 'MissingParameter' })
      }
      continue
    }
    const message = misplaced(name, value, candidate.type)
    if (message) {
      errors.push({ field: name, code: 'Invalid', message })
      continue
    }
    const result = FIELDS[name].rule.safeParse(value)
    if (!result.success) {
      errors.push(...result.error.issues.map(issue => fieldError(name, issue)))
      continue
    }
    const problem = problemsOfRequest(name, result.data, rules)
    if (problem) errors.push({ field: name, code: 'Invalid', message: problem })
    manifest[name] = result.data
  }
  if (errors.length > 0) throw validationFailed(errors)
  return manifest as ManifestFields
}
