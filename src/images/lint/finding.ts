/** A problem of a manifest and its remedy. */
export interface Finding {
  /** With an error servers refuse the manifest, or hosts cannot install the image. */
  level: 'error' | 'warning'
  field: string
  problem: string
  fix: string
}

/** Formats a finding as one line: `warning: owner: is missing: add the UUID of its owner`. */
export const inWords = ({ level, field, problem, fix }: Finding) => `${level}: ${field}: ${problem}: ${fix}`

export const error = (field: string, problem: string, fix: string): Finding => ({
  level: 'error',
  field,
  problem,
  fix,
})

export const warning = (field: string, problem: string, fix: string): Finding => ({
  level: 'warning',
  field,
  problem,
  fix,
})
