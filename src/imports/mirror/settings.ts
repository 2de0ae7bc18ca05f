import { z } from 'zod'
import { OSES, TYPES } from '../../images/fields.ts'
import { choice, text, url, whole } from '../../util/config-rules.ts'

/** The part of the config file that says which images are mirrored, and what happens to deleted ones. */

const filter = {
  name: text.optional().describe('name of the image; `*` matches any text'),
  os: choice(...OSES)
    .optional()
    .describe('operating system of the image'),
  type: choice(...TYPES)
    .optional()
    .describe('type of the image'),
  publishedAfter: text
    .refine(date => /^\d{4}-\d{2}-\d{2}/.test(date) && !Number.isNaN(Date.parse(date)), {
      error: 'a date such as "2024-12-31"',
    })
    .optional()
    .describe('date; matches images that were published later'),
}

const Include = z.strictObject(
  {
    ...filter,
    newest: whole(1, 1_000_000)
      .optional()
      .describe('only this many active images of each name, the newest ones'),
  },
  { error: 'an object {"name": ..., "os": ..., "type": ..., "newest": ..., "publishedAfter": ...}' },
)

const Exclude = z.strictObject(filter, {
  error: 'an object {"name": ..., "os": ..., "type": ..., "publishedAfter": ...}',
})

const Mirror = z.strictObject(
  {
    source: url.describe('URL of the image server; may contain credentials and `?channel=`'),
    include: z
      .array(Include, { error: 'a list of {"name": ..., "os": ..., "type": ..., "newest": ...}' })
      .default([])
      .describe('which images to copy, with their origins: those that match one of these; default: all'),
    exclude: z
      .array(Exclude, { error: 'a list of {"name": ..., "os": ..., "type": ..., "publishedAfter": ...}' })
      .default([])
      .describe('which images not to copy; needed origins are copied nevertheless'),
    channel: text.optional().describe('channel of this server for the images; default: the default channel'),
    interval: whole(1, 2_000_000, ' (seconds)')
      .default(3600)
      .describe('seconds from the end of a run to the start of the next'),
    onDelete: choice('keep', 'disable', 'delete')
      .default('keep')
      .describe('what to do with images that the source has deleted'),
    rateLimit: whole(1, Number.MAX_SAFE_INTEGER, ' (bytes per second)')
      .optional()
      .describe('limit in bytes per second for all transfers of this mirror together'),
  },
  { error: 'an object {"source": URL, ...}' },
)

/** URLs that differ only in their credentials are the same source. */
const placeOf = (source: string) => {
  if (!URL.canParse(source)) return source
  const place = new URL(source)
  Object.assign(place, { username: '', password: '' })
  return place.href
}

export const MirrorList = z
  .array(Mirror, { error: 'a list of {"source": URL, ...}' })
  .refine(list => new Set(list.map(({ source }) => placeOf(source))).size === list.length, {
    error: 'a list in which each source stands once',
  })

export type Filter = z.output<typeof Exclude>
export type IncludeFilter = z.output<typeof Include>
export type MirrorSettings = z.output<typeof Mirror>
