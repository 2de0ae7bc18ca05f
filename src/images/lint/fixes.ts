import type { FieldError } from '../errors.ts'
import { FIELD_NAMES, OSES, TYPES } from '../fields.ts'

/** Says how to correct a field that a server would refuse. */

type Manifest = Record<string, unknown>

const isText = (value: unknown): value is string => typeof value === 'string'

const uuidFix = (value: unknown) =>
  isText(value) && value !== value.toLowerCase() && /^[0-9A-F-]{36}$/i.test(value)
    ? `write it in lower case: "${value.toLowerCase()}"`
    : 'write a UUID in lower case, such as `uuidgen | tr A-Z a-z` makes'

const MISSING: Record<string, string> = {
  v: 'add "v": 2',
  uuid: 'add "uuid" with a new UUID, such as `uuidgen | tr A-Z a-z` makes',
  name: 'add "name"',
  version: 'add "version", such as "1.0.0"',
  type: `add "type", one of ${TYPES.join(', ')}`,
  os: `add "os", one of ${OSES.join(', ')}`,
  nic_driver: 'add "nic_driver", for most volumes "virtio"',
  disk_driver: 'add "disk_driver", for most volumes "virtio"',
  cpu_type: 'add "cpu_type", for most volumes "host"',
  image_size:
    'add "image_size", the size of the volume in MiB (`zfs get -Hpo value volsize` divided by 1048576)',
  'requirements.bootrom': 'add "brand": "bhyve" to "requirements", or remove "bootrom"',
}

const INVALID: Record<string, (value: unknown, manifest: Manifest) => string> = {
  v: () => 'write "v": 2',
  uuid: uuidFix,
  owner: value => (value === '' ? 'remove "owner": the image then has no owner' : uuidFix(value)),
  origin: value =>
    value === '' ? 'remove "origin": an image without an origin has no such field' : uuidFix(value),
  name: value => fixWords('name', value, /[^A-Za-z0-9._/ -]+/g, 1024),
  version: value => fixWords('version', value, /[^A-Za-z0-9._/+-]+/g, 512),
  type: fixType,
  os: fixOs,
  public: flagFix,
  disabled: flagFix,
  generate_passwords: flagFix,
  published_at: fixDate,
  homepage: value => linkFix(value),
  eula: value => linkFix(value),
  description: () => 'write text of 10240 characters at most',
  image_size: () => 'write the size of the volume in MiB, a whole number above 0',
  acl: () => 'write a list of the UUIDs of accounts, in lower case',
  tags: value =>
    Array.isArray(value) ? 'write {"KEY": "VALUE"} in place of the list' : 'write an object {"KEY": "VALUE"}',
  users: () => 'write a list of objects with a name and nothing else: [{"name": "root"}]',
  traits: () => 'write an object whose values are text, true, false, or lists',
  billing_tags: () => 'write a list of texts of 128 characters at most',
  inherited_directories: (_value, { type }) =>
    type === 'zone-dataset' ? 'write a list of paths' : 'remove it: only images of type zone-dataset have it',
  requirements: () => 'write an object, or remove it',
  'requirements.min_platform': platformFix,
  'requirements.max_platform': platformFix,
  'requirements.networks': () => 'write a list of {"name": "net0", "description": "public"}',
  'requirements.brand': () => 'write the brand as text, such as "bhyve"',
  'requirements.ssh_key': () => 'write true or false',
  'requirements.min_ram': () => 'write a whole number of MiB',
  'requirements.max_ram': () => 'write a whole number of MiB, not below "min_ram"',
  'requirements.bootrom': (_value, { requirements }) =>
    (requirements as Manifest | undefined)?.brand === 'bhyve'
      ? 'write "bios" or "uefi"'
      : 'set "brand" to "bhyve" in "requirements", or remove "bootrom"',
}

/** Returns the instruction for a field with this error. */
export function fixFor(field: string, code: FieldError['code'], manifest: Manifest): string {
  if (code === 'MissingParameter') return MISSING[field] ?? `add "${field}"`
  const isVolumeField = ['nic_driver', 'disk_driver', 'cpu_type', 'image_size'].includes(field)
  if (isVolumeField && manifest.type !== 'zvol') {
    return `remove it, or set "type" to "zvol": only volumes have it`
  }
  const value = field.split('.').reduce<unknown>((at, key) => (at as Manifest | undefined)?.[key], manifest)
  const fix = Object.hasOwn(INVALID, field) ? INVALID[field] : undefined
  if (fix) return fix(value, manifest)
  const isRequirement = Object.hasOwn((manifest.requirements as Manifest | undefined) ?? {}, field)
  return isRequirement ? `remove "${field}" from "requirements"` : `correct or remove "${field}"`
}

/** Returns the known field of which an unknown one may be a misspelling. */
export function similarField(name: string): string | undefined {
  const normalize = (text: string) => text.toLowerCase().replace(/[^a-z0-9]/g, '')
  const normalized = normalize(name)
  return FIELD_NAMES.find(
    field => normalize(field) === normalized || distance(normalize(field), normalized) === 1,
  )
}

/** Returns the edit distance, 2 for any above 1: an insertion, deletion, substitution or swap counts 1. */
function distance(a: string, b: string): number {
  if (a === b) return 0
  if (a.length < 4 || Math.abs(a.length - b.length) > 1) return 2
  let start = 0
  while (a[start] === b[start] && start < a.length) start++
  const [restA, restB] = [a.slice(start), b.slice(start)]
  const isSwap = restA[0] === restB[1] && restA[1] === restB[0] && restA.slice(2) === restB.slice(2)
  const isOne =
    restA.slice(1) === restB.slice(1) || restA === restB.slice(1) || restA.slice(1) === restB || isSwap
  return isOne ? 1 : 2
}

function fixWords(field: string, value: unknown, bad: RegExp, longest: number): string {
  if (!isText(value)) return `write "${field}" as text`
  if (value.trim() === '') return `write a ${field} that is not empty`
  if (value.length > longest) return `shorten it to ${longest} characters`
  return `write for example "${value.trim().replace(bad, '-')}"`
}

function fixType(value: unknown): string {
  const known: Record<string, string> = { lx: 'lx-dataset', kvm: 'zvol', bhyve: 'zvol', zone: 'zone-dataset' }
  const suggestion = isText(value) ? (known[value.toLowerCase()] ?? closest(value, TYPES)) : undefined
  return suggestion ? `write "type": "${suggestion}"` : `write one of ${TYPES.join(', ')}`
}

function fixOs(value: unknown): string {
  const known: Record<string, string> = {
    qemu: 'other',
    kvm: 'other',
    debian: 'linux',
    ubuntu: 'linux',
    centos: 'linux',
    freebsd: 'bsd',
    openbsd: 'bsd',
    netbsd: 'bsd',
    sunos: 'smartos',
    solaris: 'illumos',
    omnios: 'illumos',
    plan9: 'other',
  }
  const suggestion = isText(value) ? (known[value.toLowerCase()] ?? closest(value, OSES)) : undefined
  return suggestion ? `write "os": "${suggestion}"` : `write one of ${OSES.join(', ')}`
}

const closest = (value: string, values: readonly string[]) =>
  values.find(candidate => candidate.toLowerCase() === value.toLowerCase().replaceAll('_', '-'))

function flagFix(): string {
  return 'write true or false, without quotes'
}

/** Suggests the same date in ISO 8601, or an example for what is not a date. */
function fixDate(value: unknown): string {
  const time = isText(value) ? Date.parse(value) : Number.NaN
  const example = Number.isNaN(time) ? '2024-01-31T12:00:00.000Z' : new Date(time).toISOString()
  return `write "${example}"`
}

const linkFix = (value: unknown) =>
  isText(value) && value.length > 1024 ? 'use a URL of 1024 characters at most' : 'write an http or https URL'

function platformFix(value: unknown): string {
  const example = 'write {"7.0": "20240111T000000Z"}, the platform stamp by version'
  const isBroken = typeof value === 'object' && value !== null && Object.hasOwn(value, 'undefined')
  return isBroken ? `replace the key "undefined", which \`imgadm create\` wrote: ${example}` : example
}
