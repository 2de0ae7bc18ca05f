/** Every gateway of this program. The name of an export is its key below `gateways` in the config. */
export { mistify } from './mistify/index.ts'
export { shifter } from './shifter/index.ts'
