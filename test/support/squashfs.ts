import { execFileSync } from 'node:child_process'

/** What `unsquashfs` sees: mode and, of links, where they lead, by name. Bytes of names as latin-1. */
export function squashfsTree(path: string): Record<string, string> {
  const listed = execFileSync('unsquashfs', ['-lln', path], { encoding: 'latin1' })
  const lines = listed.split('\n').filter(line => /^[-dlbcps][-rwxsStT]{9} /.test(line))
  return Object.fromEntries(
    lines.flatMap(line => {
      const [, mode, owner, rest] = /^(\S+) (\S+) +.*? squashfs-root(.*)$/.exec(line)!
      if (rest === '') return []
      const [name, link] = rest!.slice(1).split(' -> ')
      return [[name!, `${mode} ${owner}${link === undefined ? '' : ` -> ${link}`}`]]
    }),
  )
}

export const squashfsContent = (path: string, name: string) =>
  execFileSync('unsquashfs', ['-cat', path, name]).toString()
