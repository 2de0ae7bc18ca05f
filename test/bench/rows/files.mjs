import { randomBytes } from 'node:crypto'
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs'

/** Large files for the rows that move bytes. */

export const MIB = 1024 * 1024
export const GIB = 1024 * MIB

/** Bytes that do not compress, synced so that nothing is written back while something is measured. */
export function writeRandomFile(path, size) {
  const block = randomBytes(Math.min(size, 16 * MIB))
  const file = openSync(path, 'w')
  for (let written = 0; written < size; written += block.length) {
    writeSync(file, block, 0, Math.min(block.length, size - written))
  }
  fsyncSync(file)
  closeSync(file)
}
