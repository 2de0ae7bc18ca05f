import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Mounts a disk of 8 MB at a new folder. False where that is not allowed. */
export function mountDisk(disk: string): boolean {
  mkdirSync(disk)
  return spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', disk]).status === 0
}

export const unmount = (disk: string) => execFileSync('umount', ['-l', disk])

export function canMount(): boolean {
  const folder = mkdtempSync(join(tmpdir(), 'imgapi-test-'))
  const mounted = mountDisk(join(folder, 'disk'))
  if (mounted) unmount(join(folder, 'disk'))
  rmSync(folder, { recursive: true })
  return mounted
}
