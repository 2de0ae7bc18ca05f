/** What documentation is made from, for the scripts of this folder. */

export { COMMANDS } from '../../src/commands/index.ts'
export { listConfigKeys } from '../../src/config/reference.ts'
export { EXIT } from '../../src/util/operator-error.ts'
