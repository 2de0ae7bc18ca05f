/** How wide the terminal is; undefined where output goes to a file or another program. */
export const terminalWidth = (): number | undefined =>
  process.stdout.isTTY ? process.stdout.columns || 80 : undefined

/** Colours are for terminals, and for people who want them (no-color.org). */
const hasColours = () => Boolean(process.stdout.isTTY) && !process.env.NO_COLOR && process.env.TERM !== 'dumb'

const style = (code: number) => (text: string) => (hasColours() ? `\u001b[${code}m${text}\u001b[0m` : text)

export const bold = style(1)
export const dim = style(2)
export const red = style(31)
export const green = style(32)
export const yellow = style(33)
