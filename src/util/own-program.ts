import { isSea } from 'node:sea'

/** The command line that starts this program once more: Node and its script, or the one file that is both. */
export const ownProgram = (): string[] =>
  isSea() ? [process.execPath] : [process.execPath, process.argv[1]!]
