import { TarError } from './tar-error.ts'

/** What the entries of an archive take: `extensions` are bytes of extended headers, `parts` are of sparse files. */
export type TarResource = 'entries' | 'extensions' | 'content' | 'parts'

/** Counts the resources that the entries of archives take. `add` throws TarError if a total exceeds its limit. */
export interface TarLimits {
  add(resource: TarResource, amount: number): void
}

export interface Limit {
  most: number
  what: string
}

/** Counts resources; those without a limit are not counted. `subject` is what takes them, for messages. */
export class Limits<Resource extends string> {
  readonly #subject: string
  readonly #limits: Partial<Record<Resource, Limit>>
  readonly #totals = new Map<Resource, number>()

  constructor(subject: string, limits: Partial<Record<Resource, Limit>>) {
    this.#subject = subject
    this.#limits = limits
  }

  /** Adds an amount. Throws TarError if the total exceeds the limit. */
  add(resource: Resource, amount: number) {
    const limit = this.#limits[resource]
    if (!limit) return
    const total = (this.#totals.get(resource) ?? 0) + amount
    this.#totals.set(resource, total)
    if (total > limit.most) throw new TarError(`${this.#subject} has more than ${limit.most} ${limit.what}`)
  }
}
