import { changes, changesInMany } from './rows/change.mjs'
import { downloads } from './rows/download.mjs'
import { filters } from './rows/filters.mjs'
import { get } from './rows/get.mjs'
import { latency } from './rows/latency.mjs'
import { lists, listsForSavers } from './rows/list.mjs'
import { idleMemory, transferMemory } from './rows/memory.mjs'
import { smallUploads } from './rows/small-uploads.mjs'
import { starts } from './rows/start.mjs'
import { uploads } from './rows/upload.mjs'

/** Every row, in the order of the table. `needs`: programs without which it cannot be measured. */
export const ROWS = [
  downloads,
  uploads,
  smallUploads,
  lists,
  listsForSavers,
  filters,
  get,
  changes,
  changesInMany,
  starts,
  idleMemory,
  transferMemory,
  latency,
]
