import { z } from 'zod'
import { asText, isObject, json, numeric, objectOf, text, textsIn } from './rules.ts'

/** The field `requirements`: the conditions for a machine to run the image (reference contract, section 5). */

const PLATFORM = /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z$/

/** Returns whether a value is a platform stamp such as `20130308T102805Z`, with a plausible date since 2012. */
function isPlatformStamp(value: unknown) {
  const match = typeof value === 'string' ? PLATFORM.exec(value) : null
  if (!match) return false
  const [year, month, day, hour, minute, second] = match.slice(1).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ]
  const inDate = year >= 2012 && month >= 1 && month <= 12 && day >= 1 && day <= 31
  return inDate && hour <= 23 && minute <= 59 && second <= 59
}

export interface Requirements {
  networks?: { name: string; description: string }[]
  brand?: string
  ssh_key?: boolean
  min_ram?: number
  max_ram?: number
  min_platform?: Record<string, string>
  max_platform?: Record<string, string>
  bootrom?: 'bios' | 'uefi'
}

const KNOWN_REQUIREMENTS = [
  'networks',
  'brand',
  'ssh_key',
  'min_ram',
  'max_ram',
  'min_platform',
  'max_platform',
  'bootrom',
]

type Report = (message: string, path?: string[], code?: string) => void

function checkRam(requirements: Record<string, unknown>, report: Report) {
  const whole = (key: string) => {
    const value = requirements[key]
    if (!value) return undefined
    if (Number.isInteger(value) && (value as number) > 0) return value as number
    report(`invalid image "requirements.${key}" (not a positive integer): ${json(value)}`, [key])
  }
  const min = whole('min_ram')
  const max = whole('max_ram')
  if (min && max && min > max) {
    report(`min_ram must be <= max_ram, but:min_ram=${min}, max_ram=${max}`, ['max_ram'])
  }
}

function checkPlatforms(requirements: Record<string, unknown>, report: Report) {
  for (const key of ['min_platform', 'max_platform']) {
    const platforms = requirements[key]
    if (!platforms) continue
    if (!isObject(platforms) || Object.keys(platforms).length === 0) {
      report(`invalid image "requirements.${key}" (not an object): ${json(platforms)}`, [key])
      continue
    }
    for (const [version, stamp] of Object.entries(platforms)) {
      // smartos-live#442: a broken builder wrote {"undefined": ...}, which no host could then install.
      if (version !== 'undefined' && isPlatformStamp(stamp)) continue
      const entry = `"${version}: ${text(stamp)}"`
      report(`invalid image "requirements.${key}" entry: ${entry} not a valid platform version`, [key])
    }
  }
}

function checkBootrom({ bootrom, brand }: Record<string, unknown>, report: Report) {
  if (!bootrom) return
  const path = ['bootrom']
  if (!brand) {
    const message =
      '"requirements.brand" not specified. "requirements.bootrom" requires "requirements.brand" to be set to "bhyve"'
    report(message, path, 'MissingParameter')
  } else if (brand !== 'bhyve') {
    const message = `not supported with "${text(brand)}" brand; "requirements.brand" must be "bhyve"`
    report(`invalid bootrom "requirements.bootrom" ${message}`, path)
  } else if (bootrom !== 'bios' && bootrom !== 'uefi') {
    const message = `invalid entry "${text(bootrom)}"; must be one of: bios, uefi`
    report(`invalid bootrom "requirements.bootrom" ${message}`, path)
  }
}

const READ: Record<string, (value: unknown) => unknown> = {
  min_ram: numeric,
  max_ram: numeric,
  brand: asText,
  networks: textsIn('name', 'description'),
}

export const requirements = z.preprocess(
  value =>
    isObject(value)
      ? Object.fromEntries(
          Object.entries(value)
            .filter(([, item]) => item !== null)
            .map(([key, item]) => [key, Object.hasOwn(READ, key) ? READ[key]!(item) : item]),
        )
      : value,
  objectOf('requirements').superRefine((values, context) => {
    const report: Report = (message, path = [], code = 'Invalid') =>
      context.addIssue({ code: 'custom', message, path, params: { code } })
    const { networks, brand, ssh_key } = values
    if (networks && !Array.isArray(networks)) {
      report(`invalid image "requirements.networks" (not an array): ${json(networks)}`, ['networks'])
    } else if (networks) {
      for (const network of networks as unknown[]) {
        const isNetwork =
          isObject(network) &&
          Object.keys(network).length === 2 &&
          network.name !== undefined &&
          network.description !== undefined
        if (!isNetwork) report(`invalid image "requirements.networks" entry: ${json(network)}`, ['networks'])
      }
    }
    if (brand && typeof brand !== 'string') {
      report(`invalid image "requirements.brand" (not a string): ${json(brand)}`, ['brand'])
    }
    if (ssh_key && typeof ssh_key !== 'boolean') {
      report(`invalid image "requirements.ssh_key" (not a boolean): ${json(ssh_key)}`, ['ssh_key'])
    }
    checkRam(values, report)
    checkPlatforms(values, report)
    checkBootrom(values, report)
    for (const key of Object.keys(values)) {
      if (KNOWN_REQUIREMENTS.includes(key)) continue
      context.addIssue({
        code: 'custom',
        message: `unsupported requirement "${key}"`,
        // As in the reference, the bare key, without the `requirements.` prefix.
        params: { code: 'Invalid', field: key },
      })
    }
  }),
) as unknown as z.ZodType<Requirements>
