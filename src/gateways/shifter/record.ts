/** What the gateway knows of an image on a system, and how clients see it. */

/** An import has HASHING in place of those from PULLING to CONVERSION. */
const WORKING = ['INIT', 'PENDING', 'PULLING', 'EXAMINATION', 'CONVERSION', 'HASHING', 'TRANSFER'] as const
export const STATUSES = [...WORKING, 'READY', 'FAILURE', 'EXPIRING'] as const
export type Status = (typeof STATUSES)[number]

/** The lists of the people and groups that an image is for. */
export interface Acl {
  userACL: number[]
  groupACL: number[]
}

/** Who asked for what: enough to start the same work again after a restart. No credentials are in it. */
/** Its lists say whom the image shall be for; the asker is in a list that is not empty. */
export interface Work extends Acl {
  user: string
  uid?: number | undefined
  gid?: number | undefined
  /** Whether registry credentials came with it. They are kept in memory alone. */
  hasCredentials: boolean
  /** Times that the server ended in the middle of it without having been asked to. */
  crashes?: number | undefined
  /** The file to import, which makes it an import. */
  filepath?: string | undefined
}

/** What an image says of itself. */
export interface ImageConfig {
  env: string[]
  entry: string[]
  cmd: string[]
  workdir?: string | undefined
  labels?: Record<string, string> | undefined
}

export interface ImportedFile {
  filepath: string
  /** Another text when the file has been written again. */
  version: string
}

export interface ImageRecord {
  /** Name of the record; no client sees it. */
  key: string
  system: string
  type: string
  status: Status
  /** The tag that it was pulled for. */
  pulltag: string
  /** The tag by which it is found, when READY; empty after the tag has gone to another image. */
  tags: string[]
  /** 64 hexadecimal digits; it names the files on the system. Known before the first of them is written. */
  id?: string | undefined
  format: string
  /** Whom the image is for under this name. The lists count when it is private. */
  isPrivate: boolean
  /** Null: an import for everybody. */
  userACL: number[] | null
  groupACL: number[] | null
  image?: ImageConfig | undefined
  /** The file that it was imported from. */
  imported?: ImportedFile | undefined
  /** Seconds since 1970. */
  lastPull?: number | undefined
  expiration?: number | undefined
  message?: string | undefined
  work?: Work | undefined
}

const UNDER_WAY: ReadonlySet<Status> = new Set(WORKING)

/** Whether work on it is queued or running. */
export const isUnderWay = ({ status }: ImageRecord) => UNDER_WAY.has(status)

/** Whether both are for the same name, whatever image it stands for. */
export const isSameName = (a: ImageRecord, b: ImageRecord) =>
  a.system === b.system && a.type === b.type && a.pulltag === b.pulltag

/** Whether work on it has not begun. */
export const isWaiting = ({ status }: ImageRecord) => status === 'INIT' || status === 'PENDING'

/** Names of the two files on the system: the image, and what the runtime reads beside it. */
export const imageFile = ({ id, format }: ImageRecord) => `${id}.${format}`
export const metaFile = ({ id }: ImageRecord) => `${id}.meta`

const MISSING = 'MISSING'

/**
 * As a client sees it: 13 keys, always. Somebody who asks for a pull may not be one of those whom the image is
 * for, so nothing of the image is shown before it is READY; the lists that a client asked for are shown to it.
 */
export function toWire(record: ImageRecord, asker: Asker): Record<string, unknown> {
  const isReady = record.status === 'READY'
  const image = isReady ? record.image : undefined
  const { userACL, groupACL } = isReady ? record : wantedAcl(record.work, asker)
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

type Asker = Pick<Work, 'user' | 'uid'>

function wantedAcl(work: Work | undefined, { user, uid }: Asker): Pick<ImageRecord, 'userACL' | 'groupACL'> {
  const isOwn = work !== undefined && work.user === user && work.uid === uid
  const { userACL, groupACL } = isOwn ? work : { userACL: [], groupACL: [] }
  const isImportForAll = work?.filepath !== undefined && userACL.length === 0 && groupACL.length === 0
  return isImportForAll ? { userACL: null, groupACL: null } : { userACL, groupACL }
}

/** A time that must have a fraction in JSON: without one the client shows 1970. */
export class Seconds {
  readonly #value: number

  constructor(value: number) {
    this.#value = value
  }

  toString() {
    return this.#value.toFixed(6)
  }
}

/** JSON on one line, in which `Seconds` are numbers with a fraction. */
export function renderJson(value: unknown): string {
  if (value instanceof Seconds) return value.toString()
  if (Array.isArray(value)) return `[${value.map(renderJson).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value ?? null)
  const members = Object.entries(value).filter(([, member]) => member !== undefined)
  return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${renderJson(member)}`).join(',')}}`
}

export const now = () => Date.now() / 1000
