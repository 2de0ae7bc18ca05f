export interface Finding {
  /** An error keeps a server from taking the manifest, or hosts from installing it; a warning does not. */
  level: 'error' | 'warning'
  field: string
  problem: string
  fix: string
}

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
