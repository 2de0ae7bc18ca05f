/** What documentation is made from, for the scripts of this folder. */
export { EXIT } from '../../src/commands/command.ts'
export { COMMANDS } from '../../src/commands/index.ts'
export { listConfigKeys } from '../../src/config/reference.ts'
