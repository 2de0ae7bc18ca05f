import { clientCommand } from './client-command.ts'
import { COLUMNS, cellOf, comparatorFor, latestOf, parseColumns } from './columns.ts'
import { parseFilters } from './filters.ts'
import { table } from './table.ts'
import { terminalWidth } from './terminal.ts'

export const list = clientCommand({
  meta: { name: 'list', description: 'List images' },
  args: {
    filter: {
      type: 'positional',
      required: false,
      rest: true,
      valueHint: 'FILTER',
      description:
        'filter such as os=smartos, name=~base or type!=zvol; only active images unless state= is given',
    },
    latest: { type: 'boolean', description: 'only the newest image of each owner and name' },
    columns: {
      type: 'string',
      alias: 'o',
      valueHint: 'COLUMN,...',
      description:
        'columns to show: size, sha1, tags.KEY or any field (default: uuid,name,version,os,type,published)',
      complete: COLUMNS,
    },
    sort: {
      type: 'string',
      alias: 's',
      valueHint: 'COLUMN,...',
      dash: true,
      description: 'columns to sort by; -COLUMN reverses the order (default: published)',
      complete: COLUMNS,
    },
    'no-heading': { type: 'boolean', alias: 'H', description: 'omit the heading' },
  },
  examples: [
    'imgapi list os=smartos name=~base',
    'imgapi list --latest -s name',
    'imgapi list state=all -o uuid,name,version,state,size -s -published',
    'imgapi list -H -o uuid tag.role=os',
    'imgapi list --json type!=lx-dataset',
  ],
  async run({ filter, latest, columns, sort, 'no-heading': noHeading, json }, { client, print }) {
    const shown = parseColumns(columns)
    const { query, matches } = parseFilters(filter)
    const compare = sort === undefined ? undefined : comparatorFor(sort)
    const found = (await client.listImages(query)).filter(matches)
    const images = latest ? latestOf(found) : found
    if (compare) images.sort(compare)
    if (json) return print(images)
    const heading = shown.map(column => column.toUpperCase())
    const rows = images.map(image => shown.map(column => cellOf(image, column)))
    const text = table(heading, rows, { width: terminalWidth(), withHeading: !noHeading })
    if (text !== '') console.log(text)
  },
})
