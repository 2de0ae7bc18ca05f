import { expect, onTestFailed, test } from 'vitest'
import { addFile, call, manifest, uuid } from '../support/api.ts'
import { LONG_TEST_TIMEOUT, PATIENCE } from '../support/patience.ts'
import { AUTH, startServer, type TestServer } from '../support/server.ts'
import { apply, findSerialOrder, type Image, type Operation, type State } from './serial-order.ts'

/** Changes of sixteen clients at once are as good as the same changes one after the other. */

const CLIENTS = 16
const EACH = 3
const ROUNDS = 16
const POOL = 18
const [ACCOUNT, ADMIN] = [uuid(), uuid()]

class Random {
  #last: number
  constructor(seed: number) {
    this.#last = seed + 1
  }
  below(end: number): number {
    this.#last = (Math.imul(this.#last, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((this.#last / 2 ** 32) * end)
  }
  of<T>(all: readonly T[]): T {
    return all[this.below(all.length)]!
  }
}

/** An operation on images of the pool; most of them meet others that want something else of the same ones. */
function anyOperation(random: Random, pool: readonly string[], state: State): Operation {
  const id = random.of(pool)
  const name = `name-${random.below(2 ** 31)}`
  const origin = random.below(2) === 0 ? random.of(pool) : undefined
  const clones = [...state.keys()].filter(one => !pool.includes(one))
  const free = pool.filter(one => !state.has(one))
  switch (random.below(12)) {
    case 0:
      return { kind: 'create', name, origin }
    case 1:
    case 2:
      return { kind: 'import', uuid: id, name, origin }
    case 3:
      return { kind: 'rename', uuid: id, name }
    case 4:
    case 5:
      return { kind: 'move', uuid: id, to: random.of(free.length > 0 ? free : pool) }
    case 6:
    case 7:
      return { kind: 'delete', uuid: clones.length > 0 && random.below(2) === 0 ? random.of(clones) : id }
    case 8:
      return { kind: 'activate', uuid: id }
    case 9:
      return { kind: 'clone', uuid: id }
    default:
      return { kind: 'reparent', uuid: id, origin }
  }
}

const toImage = ({ name, origin, state, files }: Record<string, unknown>): Image => ({
  name: name as string,
  origin: origin as string | undefined,
  state: state as string,
  hasFile: (files as unknown[]).length > 0,
})

interface Outcome {
  status: number
  body: Record<string, unknown> | undefined
}

async function ask(server: TestServer, operation: Operation): Promise<Outcome> {
  const of = (id: string, query: string) => `/images/${id}${query}`
  const update = (body: unknown) => ({ method: 'POST', query: '?action=update', body })
  const fields = (name: string, origin: string | undefined) =>
    manifest({ v: 2, name, acl: [ACCOUNT], ...(origin && { origin }) })
  const { kind } = operation
  const { method, query, body } =
    kind === 'create' || kind === 'import'
      ? {
          method: 'POST',
          query: kind === 'import' ? '?action=import' : '',
          body: {
            ...fields(operation.name, operation.origin),
            ...(kind === 'import' && { uuid: operation.uuid }),
          },
        }
      : kind === 'rename'
        ? update({ name: operation.name })
        : kind === 'reparent'
          ? update({ origin: operation.origin ?? null })
          : kind === 'move'
            ? update({ uuid: operation.to })
            : kind === 'delete'
              ? { method: 'DELETE', query: '', body: undefined }
              : kind === 'activate'
                ? { method: 'POST', query: '?action=activate', body: undefined }
                : { method: 'POST', query: `/clone?account=${ACCOUNT}`, body: undefined }
  const path = kind === 'create' ? '/images' : of(operation.uuid, query)
  const response = await fetch(server.url + path, {
    method,
    headers: { ...AUTH, 'content-type': 'application/json' },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    // What is not answered by then never will be.
    signal: AbortSignal.timeout(PATIENCE),
  })
  const text = await response.text()
  return { status: response.status, body: text === '' ? undefined : JSON.parse(text) }
}

async function stateOf(server: TestServer): Promise<State> {
  const { body } = await call(server, 'GET', '/images?state=all')
  return new Map(body.map((image: { uuid: string }) => [image.uuid, toImage(image as never)]))
}

/** Origins are there, and each chain of them has an end. */
function expectForest(state: State, when: string) {
  for (const id of state.keys()) {
    const chain = new Set<string>()
    for (let next: string | undefined = id; next !== undefined; next = state.get(next)!.origin) {
      expect(state.has(next), `${when}: origin ${next} of ${id} is there`).toBe(true)
      expect(chain, `${when}: the origins of ${id} have an end`).not.toContain(next)
      chain.add(next)
    }
  }
}

test('changes of sixteen clients at once have the result of some serial order, and each is answered', {
  timeout: LONG_TEST_TIMEOUT,
}, async () => {
  const seed = Number(process.env.SERIAL_SEED ?? Date.now() % 1_000_000)
  onTestFailed(() => console.error(`to see this again: SERIAL_SEED=${seed}`))
  const random = new Random(seed)
  const server = await startServer({ config: { mode: 'dc', adminUuid: ADMIN } })
  const pool = Array.from({ length: POOL }, uuid)
  const seen = new Map<string, number>()

  /** Asks, and notes when. */
  const timed = async (operation: Operation) => {
    const start = performance.now()
    const { status, body } = await ask(server, operation)
    const end = performance.now()
    expect(status, `${JSON.stringify(operation)}: ${JSON.stringify(body)}`).toBeLessThan(500)
    if (status >= 300) return { operation, start, end, result: undefined }
    seen.set(operation.kind, (seen.get(operation.kind) ?? 0) + 1)
    const result = { uuid: String(body?.uuid ?? ''), image: body && toImage(body) }
    return { operation, start, end, result }
  }

  let state: State = new Map()
  for (let round = 0; round < ROUNDS; round++) {
    const when = `seed ${seed}, round ${round}`
    // Between the rounds one client works alone; some images get a file.
    for (const [id, image] of state) {
      if (image.state === 'unactivated' && !image.hasFile && random.below(2) === 0) {
        await addFile(server, id, Buffer.from(id))
      }
    }
    for (let count = 0; count < 3; count++) await timed(anyOperation(random, pool, state))
    const before = await stateOf(server)
    const plans = Array.from({ length: CLIENTS }, () =>
      Array.from({ length: EACH }, () => anyOperation(random, pool, before)),
    )
    const clients = await Promise.all(
      plans.map(async plan => {
        const done = []
        for (const operation of plan) done.push(await timed(operation))
        return done.flatMap(({ result, ...rest }) => (result ? [{ ...rest, result }] : []))
      }),
    )
    state = await stateOf(server)
    expectForest(state, when)
    const order = findSerialOrder(clients, before, state)
    const shown = () => JSON.stringify({ before: [...before], after: [...state], clients })
    expect(order !== undefined, `${when}: no serial order of ${order === undefined && shown()}`).toBe(true)
  }
  // Each kind of change has happened, or the test would say little.
  for (const kind of ['create', 'import', 'rename', 'reparent', 'move', 'delete', 'activate', 'clone']) {
    expect(seen.get(kind), kind).toBeGreaterThan(0)
  }
  await server.kill()
  const again = await startServer({ folder: server.folder, config: { mode: 'dc', adminUuid: ADMIN } })
  expect(await stateOf(again)).toEqual(state)
})

test('the search for a serial order refuses what no order explains', () => {
  const [a, b] = ['a', 'b']
  const image = (changes: Partial<Image> = {}): Image => ({
    name: 'x',
    origin: undefined,
    state: 'unactivated',
    hasFile: false,
    ...changes,
  })
  const two: State = new Map([
    [a, image()],
    [b, image()],
  ])
  const reparent = (id: string, origin: string, start = 0, end = 10) => ({
    operation: { kind: 'reparent' as const, uuid: id, origin },
    ...{ start, end },
    result: { uuid: id, image: image({ origin }) },
  })
  const circle: State = new Map([
    [a, image({ origin: b })],
    [b, image({ origin: a })],
  ])
  expect(apply(two, reparent(a, b))).toBeDefined()
  expect(findSerialOrder([[reparent(a, b)], [reparent(b, a)]], two, circle)).toBeUndefined()
  const rename = (name: string, start: number, end: number) => ({
    operation: { kind: 'rename' as const, uuid: a, name },
    ...{ start, end },
    result: { uuid: a, image: image({ name }) },
  })
  const after = (name: string): State => new Map([...two, [a, image({ name })]])
  expect(findSerialOrder([[rename('one', 0, 10)], [rename('two', 5, 15)]], two, after('one'))).toHaveLength(2)
  // The first was answered before the second was asked for.
  expect(findSerialOrder([[rename('one', 0, 4)], [rename('two', 5, 15)]], two, after('one'))).toBeUndefined()
  expect(findSerialOrder([[rename('lost', 0, 4)]], two, two)).toBeUndefined()
})
