/** Every gateway of this program, a line each; its name is its key below `gateways` in the config. */
export { mistify } from './mistify/index.ts'
export { shifter } from './shifter/index.ts'
