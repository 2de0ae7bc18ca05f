import { readdirSync, readFileSync } from 'node:fs'

/** What Linux tells of a process; other systems have other ways, and their tests of it are skipped. */

export const isLinux = process.platform === 'linux'

/** How many file descriptors it has open. */
export function openFiles(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length
}

/** The most memory that the process ever had resident, in MiB. */
export const peakMemory = (pid: number): number => memory(pid, 'VmHWM')

/** What it has resident now, in MiB. */
export const residentMemory = (pid: number): number => memory(pid, 'VmRSS')

function memory(pid: number, name: string): number {
  const line = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(line![1]) / 1024
}

/** Watches the memory of all that a process starts, until `stop`, which resolves to the most that one had, in MiB. */
export function watchChildren(pid: number): { stop(): number } {
  let most = 0
  const look = (parent: number) => {
    for (const child of childrenOf(parent)) {
      try {
        most = Math.max(most, peakMemory(child))
      } catch {
        // It has ended.
      }
      look(child)
    }
  }
  const timer = setInterval(() => look(pid), 20)
  return {
    stop: () => {
      clearInterval(timer)
      return most
    },
  }
}

function childrenOf(pid: number): number[] {
  return readdirSync('/proc').flatMap(name => {
    if (!/^\d+$/.test(name)) return []
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1')
      const [, parent] = / \S (\d+)/.exec(stat.slice(stat.lastIndexOf(')'))) ?? []
      return Number(parent) === pid ? [Number(name)] : []
    } catch {
      return []
    }
  })
}
