export interface Finding {
  /** An error keeps a server from taking the manifest, or hosts from installing it; a warning does not. */
  level: 'error' | 'warning'
  field: string
  problem: string
  fix: string
}

/** In one line: `warning: owner: is missing: add the UUID of its owner`. */
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
