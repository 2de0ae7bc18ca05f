import { manifest } from '../../support/api.ts'
import type { Case, Expectation } from './runner.ts'

/** Cases of one field of CreateImage; `more` are other fields that it needs. */

export const refused = (field: string, value: unknown, expected: Expectation, more = {}): Case => ({
  name: `${field}: ${show(value)} is refused`,
  request: 'POST /images',
  body: manifest({ ...more, [field]: value }),
  expect: expected,
})

export const accepted = (field: string, value: unknown, shown = value, more = {}): Case => ({
  name: `${field}: ${show(value)} is ${shown === value ? 'kept' : `kept as ${show(shown)}`}`,
  request: 'POST /images',
  body: manifest({ ...more, [field]: value }),
  expect: { body: { [field]: shown } },
})

const show = (value: unknown) => {
  const text = JSON.stringify(value) ?? 'undefined'
  return text.length > 40 ? `${text.slice(0, 30)}… (${text.length})` : text
}

/** A case of UpdateImage. */
export const update = (
  name: string,
  given: Case['given'],
  body: unknown,
  expect: Case['expect'],
  more = {},
): Case => ({
  name,
  ...(given && { given }),
  request: UPDATE,
  body,
  expect,
  ...more,
})

export const UPDATE = 'POST /images/{image}?action=update'

export const FULL = {
  owner: '{alice}',
  description: 'text',
  homepage: 'http://example.com/',
  eula: 'http://example.com/eula',
  acl: ['{bob}'],
  requirements: { brand: 'lx', min_ram: 1 },
  users: [{ name: 'root' }],
  billing_tags: ['b'],
  traits: { ssd: true },
  tags: { a: 1, b: 2 },
  generate_passwords: true,
  inherited_directories: ['/opt'],
}
export const ZVOL = {
  type: 'zvol',
  nic_driver: 'virtio',
  disk_driver: 'virtio',
  cpu_type: 'host',
  image_size: 1024,
}
