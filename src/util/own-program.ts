import { isSea } from 'node:sea'

/** Returns the command line that starts this program again: Node and the script, or the single executable. */
export const ownProgram = (): string[] =>
  isSea() ? [process.execPath] : [process.execPath, process.argv[1]!]
