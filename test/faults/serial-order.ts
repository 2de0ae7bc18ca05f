/**
 * A model of images with origins, and the search for an order in which operations that ran at the same time could
 * have run one after the other: each between its request and its answer, with the answer that it had.
 */

export interface Image {
  name: string
  origin: string | undefined
  state: string
  hasFile: boolean
}

export type State = ReadonlyMap<string, Image>

export type Operation =
  | { kind: 'create'; name: string; origin: string | undefined }
  | { kind: 'import'; uuid: string; name: string; origin: string | undefined }
  | { kind: 'rename'; uuid: string; name: string }
  | { kind: 'reparent'; uuid: string; origin: string | undefined }
  | { kind: 'move'; uuid: string; to: string }
  | { kind: 'delete' | 'activate' | 'clone'; uuid: string }

/** An operation that was acknowledged. */
export interface Acknowledged {
  operation: Operation
  start: number
  end: number
  /** The image of the answer; none for one that was deleted. */
  result: { uuid: string; image: Image | undefined }
}

const isSame = (one: Image | undefined, other: Image | undefined) =>
  one?.name === other?.name &&
  one?.origin === other?.origin &&
  one?.state === other?.state &&
  one?.hasFile === other?.hasFile

const hasChildren = (state: State, uuid: string) => [...state.values()].some(({ origin }) => origin === uuid)

function isAncestor(state: State, ancestor: string, uuid: string): boolean {
  for (let next: string | undefined = uuid; next !== undefined; next = state.get(next)?.origin) {
    if (next === ancestor) return true
  }
  return false
}

/** The state after an operation, if it could have that answer then. */
export function apply(state: State, { operation, result }: Acknowledged): State | undefined {
  const next = new Map(state)
  const put = (uuid: string, image: Image) => {
    if (uuid !== result.uuid || !isSame(image, result.image)) return undefined
    return next.set(uuid, image)
  }
  if (operation.kind === 'create' || operation.kind === 'import') {
    const uuid = operation.kind === 'import' ? operation.uuid : result.uuid
    const { name, origin } = operation
    if (state.has(uuid) || (origin !== undefined && !state.has(origin))) return undefined
    return put(uuid, { name, origin, state: 'unactivated', hasFile: false })
  }
  const { uuid } = operation
  const image = state.get(uuid)
  if (!image) return undefined
  const isFresh = image.state === 'unactivated'
  switch (operation.kind) {
    case 'rename':
      return put(uuid, { ...image, name: operation.name })
    case 'reparent': {
      const { origin } = operation
      if (!isFresh) return undefined
      if (origin !== undefined && (!state.has(origin) || isAncestor(state, uuid, origin))) return undefined
      return put(uuid, { ...image, origin })
    }
    case 'move':
      if (operation.to === uuid) return put(uuid, image)
      if (!isFresh || state.has(operation.to) || hasChildren(state, uuid)) return undefined
      next.delete(uuid)
      return put(operation.to, image)
    case 'delete':
      if (hasChildren(state, uuid)) return undefined
      next.delete(uuid)
      return next
    case 'activate':
      return isFresh && image.hasFile ? put(uuid, { ...image, state: 'active' }) : undefined
    case 'clone':
      return isFresh || state.has(result.uuid) ? undefined : put(result.uuid, image)
  }
}

/** Steps of the search after which it counts as failed; one that succeeds takes about as many as there are operations. */
const MOST_STEPS = 200_000

/**
 * The acknowledged operations of each client, in its own order, as one order that leads from one state to the other;
 * undefined if there is none.
 */
export function findSerialOrder(
  clients: readonly (readonly Acknowledged[])[],
  before: State,
  after: State,
): Acknowledged[] | undefined {
  const tried = new Set<string>()
  const order: Acknowledged[] = []
  let steps = 0
  const describe = (state: State) => JSON.stringify([...state].sort(([a], [b]) => (a < b ? -1 : 1)))
  const goal = describe(after)
  // What the end shows is tried last: it was overwritten by nothing.
  const isLast = ({ result }: Acknowledged) => Number(isSame(after.get(result.uuid), result.image))
  const search = (at: readonly number[], state: State): boolean => {
    const next = clients.map((operations, client) => operations[at[client]!])
    const waiting = next.flatMap((one, client) => (one ? [{ one, client }] : []))
    const described = describe(state)
    if (waiting.length === 0) return described === goal
    const key = `${at.join()} ${described}`
    if (tried.has(key) || ++steps > MOST_STEPS) return false
    tried.add(key)
    const firstAnswer = Math.min(...waiting.map(({ one }) => one.end))
    const candidates = waiting
      .filter(({ one }) => one.start <= firstAnswer)
      .sort((a, b) => isLast(a.one) - isLast(b.one) || a.one.end - b.one.end)
    for (const { one, client } of candidates) {
      const changed = apply(state, one)
      if (!changed) continue
      order.push(one)
      const moved = at.map((index, other) => (other === client ? index + 1 : index))
      if (search(moved, changed)) return true
      order.pop()
    }
    return false
  }
  return search(
    clients.map(() => 0),
    before,
  )
    ? order
    : undefined
}
