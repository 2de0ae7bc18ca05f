/** Formats quantities for the user. */

const UNITS = ['KiB', 'MiB', 'GiB', 'TiB']

/** Formats a number of bytes: `1.50 GiB`. */
export function bytes(count: number): string {
  if (count < 1024) return `${Math.round(count)} B`
  let value = count
  let unit = -1
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024
    unit++
  }
  return `${value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0)} ${UNITS[unit]}`
}

/** Formats a rate: `1.50 MiB/s`. */
export const rate = (bytesPerSecond: number) => `${bytes(Math.max(0, bytesPerSecond))}/s`

/** Formats seconds: `7.0 s`, `2:05`, `1:02:05`. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '?'
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  if (whole < 60) return `${whole} s`
  const two = (value: number) => String(value).padStart(2, '0')
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60]
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`
}
