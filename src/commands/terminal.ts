/** Returns the width of the terminal, undefined if stdout is a file or a pipe. */
export const terminalWidth = (): number | undefined =>
  process.stdout.isTTY ? process.stdout.columns || 80 : undefined

/** Colours only on terminals, and not with NO_COLOR (no-color.org). */
const hasColours = () => Boolean(process.stdout.isTTY) && !process.env.NO_COLOR && process.env.TERM !== 'dumb'

const style = (code: number) => (text: string) => (hasColours() ? `\u001b[${code}m${text}\u001b[0m` : text)

export const bold = style(1)
export const dim = style(2)
export const red = style(31)
export const green = style(32)
export const yellow = style(33)
