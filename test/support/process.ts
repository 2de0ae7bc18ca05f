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
