/** Checks of values in stored documents, quick enough for a hundred thousand of them at a start. */

export const isText = (value: unknown) => typeof value === 'string'
export const isFlag = (value: unknown) => typeof value === 'boolean'
export const isTexts = (value: unknown) => Array.isArray(value) && value.every(isText)
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/
export const isTime = (value: unknown) => isText(value) && TIME.test(value as string)
export const isSize = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0
const isHex = (digits: number) => {
  const pattern = new RegExp(`^[0-9a-f]{${digits}}$`)
  return (value: unknown) => isText(value) && pattern.test(value as string)
}
export const isSha1 = isHex(40)
export const isMd5 = isHex(32)
export const isAbsentOr = (value: unknown, fits: (value: unknown) => boolean) =>
  value === undefined || fits(value)
