/** Formats rows under a heading, in columns as wide as their content; the last column is not padded. */
export function table(heading: string[], rows: string[][], options: TableOptions = {}): string {
  const { width, withHeading = true } = options
  const all = withHeading ? [heading, ...rows] : rows
  if (all.length === 0) return ''
  const natural = heading.map((_, column) =>
    all.reduce((widest, row) => Math.max(widest, row[column]?.length ?? 0), 0),
  )
  const widths = width === undefined ? natural : narrowed(natural, width)
  return all
    .map(row =>
      row
        .map((cell, column) => {
          const text = cut(cell, widths[column]!)
          return column === row.length - 1 ? text : text.padEnd(widths[column]!)
        })
        .join('  '),
    )
    .join('\n')
}

export interface TableOptions {
  /** Columns of the terminal; absent for no limit, when the output is a file or a pipe. */
  width?: number | undefined
  withHeading?: boolean
}

/** Columns are not cut below this width, nor are UUIDs: a part of one is useless. */
const SHORTEST = 8
const UUID_WIDTH = 36

/** Narrows the widest column until all fit. Columns of UUIDs keep their width. */
function narrowed(natural: number[], width: number): number[] {
  const widths = [...natural]
  const total = () => widths.reduce((sum, one) => sum + one, 0) + 2 * (widths.length - 1)
  while (total() > width) {
    const shrinkable = widths.map(one => (one === UUID_WIDTH || one <= SHORTEST ? 0 : one))
    const widest = Math.max(...shrinkable)
    if (widest === 0) break
    widths[shrinkable.indexOf(widest)]!--
  }
  return widths
}

const cut = (text: string, width: number) => (text.length > width ? `${text.slice(0, width - 1)}…` : text)
