import { COMPRESSIONS, isFieldName, isUuid } from '../../images/fields.ts'
import { type Image, toManifest } from '../../images/image.ts'
import { isObject } from '../../images/rules.ts'
import { adopt } from './adopt.ts'
import { type Bookkeeping, KEY, readBookkeeping } from './bookkeeping.ts'
import type { Document } from './document.ts'
import type { Folder } from './folder.ts'
import { isAbsentOr, isFlag, isSha1, isSize, isText, isTexts, isTime } from './value-checks.ts'

/** Converts between an image and its `manifest.json`: the public manifest, and our bookkeeping under one key. */

/** Renders an image as the document to store. `replaces`: the UUID of the image that it replaces. */
export function toDocument(image: Image, replaces?: string): Document {
  const manifest = toManifest(image, { operatorFields: true, channels: true, adminFields: false })
  const bookkeeping: Bookkeeping = {
    files: image.files.map(({ name, mtime, md5 }) => ({ name, mtime, ...(md5 && { md5 }) })),
    ...(image.icon && { icon: image.icon }),
    ...(image.wasActive && { wasActive: image.wasActive }),
    ...(replaces && { replaces }),
  }
  return { ...manifest, ...(image.error && { error: image.error }), [KEY]: bookkeeping }
}

/**
 * Reads the image of a folder that any program may have written. Accepts what the predecessor stored: no owner, no date
 * of publication, sizes like 3.79882274e+08, the state "activated", values that our rules would refuse. Throws an
 * error that says why the manifest cannot be served.
 */
export function fromDocument(document: Document, folder: Folder): { image: Image; replaces?: string } {
  const bookkeeping = readBookkeeping(document[KEY])
  const own = bookkeeping && fromOwnDocument(document, bookkeeping, folder.uuid)
  return own ? { image: own } : adopt(document, bookkeeping, folder)
}

/** Returns whether the fields that lists and rules rely on have the expected types. */
const isWellFormed = (document: Document) =>
  isSize(document.v) &&
  isUuid(document.owner) &&
  isText(document.name) &&
  isText(document.version) &&
  isText(document.type) &&
  isText(document.os) &&
  OWN_STATES.has(document.state) &&
  isFlag(document.disabled) &&
  isFlag(document.public) &&
  isAbsentOr(document.published_at, isTime) &&
  isAbsentOr(document.origin, isUuid) &&
  isAbsentOr(document.acl, isTexts) &&
  isAbsentOr(document.channels, isTexts) &&
  isAbsentOr(document.billing_tags, isTexts) &&
  isAbsentOr(document.tags, isObject)

const OWN_STATES = new Set<unknown>(['active', 'unactivated', 'disabled'])
const COMPRESSION_NAMES = new Set<unknown>(COMPRESSIONS)

/**
 * Reads a document that this server wrote. It was validated then, so a hundred thousand of them need not be validated
 * again at every start (`imgapi check` does that). Turns the document into the image in place. Returns undefined for
 * any other document, which `adopt` reads.
 */
function fromOwnDocument(document: Document, bookkeeping: Bookkeeping, uuid: string): Image | undefined {
  const { files } = document
  if (bookkeeping.replaces || document.uuid !== uuid || !isWellFormed(document)) return
  if (!Array.isArray(files) || files.length !== bookkeeping.files.length) return
  for (const key in document) if (key !== KEY && !isFieldName(key)) return
  for (const [index, file] of files.entries()) {
    if (!isSha1(file?.sha1) || !isSize(file.size) || !COMPRESSION_NAMES.has(file.compression)) return
    const { name, mtime, md5 } = bookkeeping.files[index]!
    Object.assign(file, { name, mtime, ...(md5 && { md5 }) })
  }
  if (document.icon === true && !bookkeeping.icon) return
  if (bookkeeping.icon) document.icon = bookkeeping.icon
  // Deleting the last key is free; deleting one in the middle would cost a third more memory for each image.
  delete document[KEY]
  return document as unknown as Image
}
