import { badRequest } from '../../images/errors.ts'
import { FIELDS } from '../../images/fields.ts'
import type { Policy } from '../../images/images.ts'
import { IMAGE_TYPES, type MistifyType } from './record.ts'

/**
 * Makes the manifest of an image that comes without one. It is public if the mode of the server permits that,
 * because agents usually have no credentials. Throws BadRequestError for a comment that is too long.
 */
export function newManifest(
  { mode }: Policy,
  type: MistifyType,
  comment: string,
  source: string,
  now: Date,
): Record<string, unknown> {
  const { error } = FIELDS.description.rule.safeParse(comment)
  if (error) throw badRequest('the comment is too long, max 10240 characters')
  return {
    name: nameOf(source) || `mistify-${type}`,
    version: now.toISOString().replace(/[-:]|\.\d+/g, ''),
    type: IMAGE_TYPES[type],
    os: type === 'container' ? 'linux' : 'other',
    public: mode !== 'private',
    ...(comment !== '' && { description: comment }),
  }
}

/** Derives a valid name from the file name in a URL, without its extensions. */
function nameOf(source: string): string {
  const [file = ''] = source.split(/[?#]/)[0]!.split('/').slice(3).reverse()
  return file
    .replace(/(\.(zfs|tar|tgz|raw|img|gz|bz2|xz|zst))+$/i, '')
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[-.]+|[-.]+$/g, '')
    .slice(0, 200)
}
