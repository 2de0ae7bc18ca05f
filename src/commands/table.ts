/** Rows under a heading, in columns as wide as they need to be; the last one is not padded. */
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
  /** Columns of the terminal; absent is no limit, for what is not read by people. */
  width?: number | undefined
  withHeading?: boolean
}

/** What nobody can copy when it is cut is not cut. */
const SHORTEST = 8
const UUID_WIDTH = 36

/** The widest column gives way, again and again, until all fit; a UUID never does. */
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
