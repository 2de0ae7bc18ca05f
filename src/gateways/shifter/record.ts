/** The record of an image on a system, and its form for clients. */

/** A pull without an examiner has no EXAMINATION. An import has HASHING instead of the states from PULLING on. */
const WORKING = ['INIT', 'PENDING', 'PULLING', 'CONVERSION', 'EXAMINATION', 'HASHING', 'TRANSFER'] as const
export const STATUSES = [...WORKING, 'READY', 'FAILURE', 'EXPIRING'] as const
export type Status = (typeof STATUSES)[number]

/** The ids of the users and groups that may use an image. */
export interface Acl {
  userACL: number[]
  groupACL: number[]
}

/**
 * A request for a pull or an import: enough to start the same work after a restart, without credentials. The lists
 * are the requested ones; a list that is not empty includes the caller.
 */
export interface Work extends Acl {
  user: string
  uid?: number | undefined
  gid?: number | undefined
  /** Whether the request had registry credentials, which are stored in memory only. */
  hasCredentials: boolean
  /** Number of crashes of the server during this work. */
  crashes?: number | undefined
  /** The file to import; absent for a pull. */
  filepath?: string | undefined
}

/** The config of an image, as its author wrote it. */
export interface ImageConfig {
  env: string[]
  entry: string[]
  cmd: string[]
  workdir?: string | undefined
  labels?: Record<string, string> | undefined
}

export interface ImportedFile {
  filepath: string
  /** Changes when the file changes. */
  version: string
}

export interface ImageRecord {
  /** Internal id of the record, not shown to clients. */
  key: string
  system: string
  type: string
  status: Status
  /** The tag of the request. */
  pulltag: string
  /** The tag that finds the record while READY; empty after the tag has moved to another image. */
  tags: string[]
  /** 64 hexadecimal digits, the base name of the files on the system. Set before the first file is written. */
  id?: string | undefined
  format: string
  /** Whether only the users in the lists may use the image under this name. */
  isPrivate: boolean
  /** Null for a public import. */
  userACL: number[] | null
  groupACL: number[] | null
  image?: ImageConfig | undefined
  /** The source file of an import. */
  imported?: ImportedFile | undefined
  /** Seconds since 1970. */
  lastPull?: number | undefined
  expiration?: number | undefined
  message?: string | undefined
  work?: Work | undefined
}

const UNDER_WAY: ReadonlySet<Status> = new Set(WORKING)

/** Returns whether work on the record is queued or running. */
export const isUnderWay = ({ status }: ImageRecord) => UNDER_WAY.has(status)

/** Returns whether both records are for the same name, whatever their images. */
export const isSameName = (a: ImageRecord, b: ImageRecord) =>
  a.system === b.system && a.type === b.type && a.pulltag === b.pulltag

/** Returns whether work on the record is queued. */
export const isWaiting = ({ status }: ImageRecord) => status === 'INIT' || status === 'PENDING'

/** Name of the image file on the system. */
export const imageFile = ({ id, format }: ImageRecord) => `${id}.${format}`
/** Name of the meta file on the system, which the runtime reads. */
export const metaFile = ({ id }: ImageRecord) => `${id}.meta`

const MISSING = 'MISSING'

/**
 * Returns the record as clients see it, always with 13 keys. A caller may start a pull of an image that it may not
 * use, so nothing of the image is shown before it is READY; the requested lists are shown to their caller only.
 */
export function toWire(record: ImageRecord, caller: Caller): Record<string, unknown> {
  const isReady = record.status === 'READY'
  const image = isReady ? record.image : undefined
  const { userACL, groupACL } = isReady ? record : requestedAcl(record.work, caller)
  return {
    id: isReady ? record.id : MISSING,
    system: record.system,
    itype: record.type,
    tag: record.tags,
    status: record.status,
    userACL,
    groupACL,
    ENV: image?.env ?? MISSING,
    ENTRY: image && image.entry.length > 0 ? image.entry : MISSING,
    WORKDIR: image?.workdir ?? MISSING,
    LABELS: image?.labels ?? MISSING,
    last_pull: record.lastPull === undefined ? MISSING : new Seconds(record.lastPull),
    status_message: record.message ?? MISSING,
  }
}

type Caller = Pick<Work, 'user' | 'uid'>

function requestedAcl(
  work: Work | undefined,
  { user, uid }: Caller,
): Pick<ImageRecord, 'userACL' | 'groupACL'> {
  const isOwn = work !== undefined && work.user === user && work.uid === uid
  const { userACL, groupACL } = isOwn ? work : { userACL: [], groupACL: [] }
  const isImportForAll = work?.filepath !== undefined && userACL.length === 0 && groupACL.length === 0
  return isImportForAll ? { userACL: null, groupACL: null } : { userACL, groupACL }
}

/** A time in seconds that must have a fraction in JSON: without one the client shows 1970. */
export class Seconds {
  readonly #value: number

  constructor(value: number) {
    this.#value = value
  }

  toString() {
    return this.#value.toFixed(6)
  }
}

/** Renders JSON on one line, with `Seconds` as numbers with a fraction. */
export function renderJson(value: unknown): string {
  if (value instanceof Seconds) return value.toString()
  if (Array.isArray(value)) return `[${value.map(renderJson).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value ?? null)
  const members = Object.entries(value).filter(([, member]) => member !== undefined)
  return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${renderJson(member)}`).join(',')}}`
}

/** Returns the time in seconds since 1970. */
export const now = () => Date.now() / 1000
