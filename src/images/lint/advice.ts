import { COMPRESSIONS, isFieldName, STATES, TEXT_FIELDS } from '../fields.ts'
import { INTERNAL } from '../intake.ts'
import { isObject } from '../rules.ts'
import { isVersionOne } from '../upgrade.ts'
import { error, type Finding, warning } from './finding.ts'
import { similarField } from './fixes.ts'

/** Finds what servers accept in a manifest but hosts, other clients or its author will have trouble with. */

type Manifest = Record<string, unknown>

/** Returns the findings for a manifest: `given` as parsed, `manifest` as a server would read it. */
export function adviceOn(given: Manifest, manifest: Manifest): Finding[] {
  return [
    ...onWhole(given, manifest),
    ...onNumbers(given),
    ...onTexts(given, manifest),
    ...onFields(given, manifest),
    ...onFiles(manifest),
    ...onRequirements(manifest),
  ]
}

function onWhole(given: Manifest, manifest: Manifest): Finding[] {
  const findings: Finding[] = []
  if (isVersionOne(given)) {
    findings.push(
      warning(
        'v',
        'is missing: this is a manifest of version 1',
        'it is upgraded; save what `imgapi get` shows',
      ),
    )
  } else if (manifest.v !== undefined && Number.isInteger(Number(manifest.v)) && Number(manifest.v) !== 2) {
    findings.push(warning('v', `is ${manifest.v}; hosts know version 2`, 'write "v": 2'))
  }
  for (const [key, value] of Object.entries(given)) {
    if (value === null) findings.push(warning(key, 'is null, which counts as absent', `remove "${key}"`))
    else if (!isFieldName(key) && !isVersionOne(given) && !INTERNAL.has(key)) findings.push(unknownField(key))
  }
  return findings
}

function unknownField(key: string): Finding {
  const suggestion = similarField(key)
  return suggestion
    ? error(key, `is not a manifest field; "${suggestion}" is`, `rename it to "${suggestion}"`)
    : warning(key, 'is not a manifest field', 'remove it, or put it under "tags"')
}

function onNumbers(given: Manifest): Finding[] {
  const files = Array.isArray(given.files) ? given.files : []
  const found: [string, unknown][] = [
    ['v', given.v],
    ['image_size', given.image_size],
    ...files.map((file, index): [string, unknown] => [`files[${index}].size`, file?.size]),
  ]
  return found.flatMap(([field, value]) =>
    typeof value === 'string' && /^\d+$/.test(value)
      ? [
          warning(
            field,
            'is text, not a number; older servers and hosts may reject it',
            `write ${value} without quotes`,
          ),
        ]
      : [],
  )
}

/** Warns of text fields with another type, which servers convert differently. */
function onTexts(given: Manifest, manifest: Manifest): Finding[] {
  return TEXT_FIELDS.flatMap(field => {
    const type = typeof given[field]
    if (type !== 'number' && type !== 'boolean') return []
    const problem = `is a ${type}, not text; other servers may read it as ${JSON.stringify(given[field])}`
    return [warning(field, problem, `write it in quotes: "${field}": "${manifest[field]}"`)]
  })
}

function onFields(given: Manifest, manifest: Manifest): Finding[] {
  const findings: Finding[] = []
  const { state, disabled, type, tags, owner, published_at } = manifest
  for (const flag of ['public', 'disabled', 'generate_passwords']) {
    const value = given[flag]
    if (value === 'true' || value === 'false') {
      findings.push(warning(flag, 'is text, not a flag', `write ${value} without quotes`))
    }
  }
  if (state !== undefined && !(STATES as readonly unknown[]).includes(state)) {
    findings.push(warning('state', `is "${state}", which is not a state; an import ignores it`, 'remove it'))
  }
  if (disabled === true) {
    findings.push(
      warning('disabled', 'is true: the image will not be listed', 'remove it, or run `imgapi enable`'),
    )
  }
  if (owner === undefined) {
    findings.push(warning('owner', 'is missing: the image will have no owner', 'add the UUID of its owner'))
  }
  if (type === 'docker' && !(isObject(tags) && tags['docker:id'])) {
    const problem = 'has no "docker:id", without which `imgadm avail` fails for every image of the server'
    findings.push(error('tags', problem, 'add "docker:id" to "tags"'))
  }
  if (typeof published_at === 'string' && Date.parse(published_at) > Date.now() + 24 * 3600_000) {
    findings.push(warning('published_at', 'is in the future', 'remove it: the server sets it'))
  }
  if (manifest.origin !== undefined && manifest.origin === manifest.uuid) {
    findings.push(
      error('origin', 'is the image itself', 'write the UUID of the image that this one is based on'),
    )
  }
  return findings
}

function onFiles({ files, type }: Manifest): Finding[] {
  if (files === undefined) return []
  if (!Array.isArray(files))
    return [error('files', 'is not a list', 'write [{"sha1": ..., "size": ..., ...}]')]
  const findings = files.flatMap((file, index) => onFile(file, `files[${index}]`))
  if (files.length > (type === 'lxd' ? 2 : 1)) {
    findings.push(error('files', `has ${files.length} entries`, 'keep only the file of the image'))
  }
  return findings
}

function onFile(file: unknown, at: string): Finding[] {
  if (!isObject(file)) return [error(at, 'is not an object', 'write {"sha1": ..., "size": ..., ...}')]
  const { sha1, size, compression } = file
  const findings: Finding[] = []
  if (sha1 === undefined) {
    findings.push(
      warning(`${at}.sha1`, 'is missing: the file cannot be verified', 'add what `sha1sum` prints'),
    )
  } else if (typeof sha1 !== 'string' || !/^[0-9a-f]{40}$/i.test(sha1)) {
    findings.push(error(`${at}.sha1`, 'must be 40 hexadecimal digits', 'write what `sha1sum` prints'))
  } else if (sha1 !== sha1.toLowerCase()) {
    findings.push(
      warning(`${at}.sha1`, 'has capital letters, which hosts refuse', `write "${sha1.toLowerCase()}"`),
    )
  }
  const bytes = typeof size === 'string' && /^\d+$/.test(size) ? Number(size) : size
  if (size === undefined) {
    findings.push(warning(`${at}.size`, 'is missing', 'add the number of bytes of the file'))
  } else if (!Number.isSafeInteger(bytes) || (bytes as number) <= 0) {
    findings.push(
      error(`${at}.size`, 'is not a positive number of bytes', 'write the size of the file in bytes'),
    )
  }
  if (compression === undefined) {
    findings.push(warning(`${at}.compression`, 'is missing', `add one of ${COMPRESSIONS.join(', ')}`))
  } else if (!(COMPRESSIONS as readonly unknown[]).includes(compression)) {
    findings.push(error(`${at}.compression`, `is "${compression}"`, compressionFix(compression)))
  }
  return findings
}

function compressionFix(value: unknown): string {
  const known: Record<string, string> = { gz: 'gzip', bz2: 'bzip2', bzip: 'bzip2', lzma: 'xz' }
  const suggestion = typeof value === 'string' ? known[value.toLowerCase()] : undefined
  if (suggestion) return `write "${suggestion}"`
  return `write one of ${COMPRESSIONS.join(', ')}; hosts support no other`
}

function onRequirements({ requirements, type }: Manifest): Finding[] {
  if (!isObject(requirements)) return []
  if (Object.keys(requirements).length === 0) {
    return [warning('requirements', 'is empty', 'remove it, or say what the image needs')]
  }
  const { brand } = requirements
  if (type === 'lx-dataset' && brand !== undefined && brand !== 'lx') {
    return [warning('requirements.brand', `is "${brand}" on an image for lx zones`, 'write "lx"')]
  }
  return []
}
