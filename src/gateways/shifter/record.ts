/** What the gateway knows of an image on a system, and how clients see it. */

/** In the order in which a pull passes through them; an import has HASHING in place of the middle ones. */
export type Status =
  | 'INIT'
  | 'PENDING'
  | 'PULLING'
  | 'EXAMINATION'
  | 'CONVERSION'
  | 'HASHING'
  | 'TRANSFER'
  | 'READY'
  | 'FAILURE'
  | 'EXPIRING'

/** Who asked for what: enough to start the same work again after a restart. No credentials are in it. */
export interface Work {
  user: string
  uid?: number | undefined
  gid?: number | undefined
  /** Whom the image shall be for; the asker is in a list that is not empty. */
  userACL: number[]
  groupACL: number[]
  /** Whether registry credentials came with it. They are kept in memory alone. */
  hasCredentials: boolean
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

export interface ImageRecord {
  /** Name of the record; no client sees it. */
  key: string
  system: string
  type: string
  status: Status
  /** The tag that the latest pull was for. */
  pulltag: string
  /** Names by which it is found, when READY. */
  tags: string[]
  /** 64 hexadecimal digits; it names the files on the system. Known before the first of them is written. */
  id?: string | undefined
  format: string
  isPrivate: boolean
  /** Null: an import for everybody. */
  userACL: number[] | null
  groupACL: number[] | null
  image?: ImageConfig | undefined
  /** Seconds since 1970. */
  lastPull?: number | undefined
  expiration?: number | undefined
  message?: string | undefined
  work?: Work | undefined
}

const UNDER_WAY: ReadonlySet<Status> = new Set([
  'INIT',
  'PENDING',
  'PULLING',
  'EXAMINATION',
  'CONVERSION',
  'HASHING',
  'TRANSFER',
])

/** Whether work on it is queued or running. */
export const isUnderWay = ({ status }: ImageRecord) => UNDER_WAY.has(status)

/** Names of the two files on the system: the image, and what the runtime reads beside it. */
export const imageFile = ({ id, format }: ImageRecord) => `${id}.${format}`
export const metaFile = ({ id }: ImageRecord) => `${id}.meta`

const MISSING = 'MISSING'

/**
 * As clients see it: 13 keys, always. Who may ask for a pull may not be one of those whom the image is for, so
 * nothing of the image is shown before it is READY.
 */
export function toWire(record: ImageRecord): Record<string, unknown> {
  const isReady = record.status === 'READY'
  const image = isReady ? record.image : undefined
  const nobody = record.work?.filepath === undefined ? [] : null
  return {
    id: isReady ? record.id : MISSING,
    system: record.system,
    itype: record.type,
    tag: record.tags,
    status: record.status,
    userACL: isReady ? record.userACL : nobody,
    groupACL: isReady ? record.groupACL : nobody,
    ENV: image?.env ?? MISSING,
    ENTRY: image && image.entry.length > 0 ? image.entry : MISSING,
    WORKDIR: image?.workdir ?? MISSING,
    LABELS: image?.labels ?? MISSING,
    last_pull: record.lastPull === undefined ? MISSING : new Seconds(record.lastPull),
    status_message: record.message ?? MISSING,
  }
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
