import { FULL, update, ZVOL } from './field-cases.ts'
import { conformance, invalidField, validationFailed } from './runner.ts'

/** Section 8.13: what UpdateImage can change. */

const changes: [field: string, value: unknown][] = [
  ['owner', '{bob}'],
  ['name', 'changed'],
  ['version', '2.0'],
  ['description', 'changed'],
  ['homepage', 'http://example.com/changed'],
  ['eula', 'http://example.com/changed'],
  ['public', true],
  ['os', 'linux'],
  ['acl', ['{alice}', '{bob}']],
  ['requirements', { max_ram: 5 }],
  ['users', [{ name: 'other' }]],
  ['billing_tags', ['c']],
  ['traits', { fast: 'very' }],
  ['tags', { c: 3 }],
  ['generate_passwords', false],
  ['inherited_directories', ['/usr']],
]

conformance('8.13 what can be updated', [
  ...(['unactivated', 'active', 'disabled'] as const).flatMap(state =>
    changes.map(([field, value]) =>
      update(
        `${field} of an image that is ${state}`,
        [state, FULL],
        { [field]: value },
        { body: { [field]: value } },
      ),
    ),
  ),
  ...['nic_driver', 'disk_driver', 'cpu_type'].map(field =>
    update(`${field} of a zvol`, ['active', ZVOL], { [field]: 'changed' }, { body: { [field]: 'changed' } }),
  ),
  update('image_size of a zvol', ['active', ZVOL], { image_size: '4096' }, { body: { image_size: 4096 } }),
  ...['tags', 'requirements'].map(field =>
    update(
      `${field} are replaced, not merged`,
      ['active', FULL],
      { [field]: field === 'tags' ? { c: 3 } : { ssh_key: true } },
      {
        text:
          field === 'tags'
            ? /"tags": \{\n {4}"c": 3\n {2}\}/
            : /"requirements": \{\n {4}"ssh_key": true\n {2}\}/,
      },
    ),
  ),
  ...[
    ...['description', 'homepage', 'eula', 'acl', 'requirements', 'users', 'billing_tags', 'traits'],
    ...['generate_passwords', 'inherited_directories', 'tags'],
  ].map(field => update(`null removes ${field}`, ['active', FULL], { [field]: null }, { without: [field] })),
  ...['owner', 'name', 'version', 'public', 'os'].map(field =>
    update(
      `null is no ${field}, which an image must have`,
      ['active', FULL],
      { [field]: null },
      validationFailed([[field, 'MissingParameter']]),
    ),
  ),
  ...['nic_driver', 'disk_driver', 'cpu_type', 'image_size'].map(field =>
    update(
      `null is no ${field}, which a zvol must have`,
      ['active', ZVOL],
      { [field]: null },
      validationFailed([[field, 'MissingParameter']]),
    ),
  ),
  update(
    'a driver of another type than zvol is refused, in the reference’s words',
    'active',
    { nic_driver: 'x' },
    invalidField('nic_driver', 'invalid image nic_driver: "x" (cannot have a value when image type is zvol)'),
  ),
  update(
    'several fields at once',
    'active',
    { name: 'a', version: '2' },
    { body: { name: 'a', version: '2' } },
  ),
  update('an ETag comes with it', 'active', { name: 'a' }, { headers: { etag: /^"[0-9a-f]{40}"$/ } }),
  update(
    'no change changes not even the ETag',
    'active',
    { name: 'test-image' },
    { headers: { etag: '"{etag}"' } },
  ),
])
