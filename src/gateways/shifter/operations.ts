import type { Route } from '../../http/router.ts'
import { HttpError } from './errors.ts'
import { parseAcl, parseImport, parseLimit } from './parameters.ts'
import { Seconds, toWire } from './record.ts'
import type { Requests } from './requests.ts'
import type { Session } from './session.ts'

/** The operations of the gateway. Some of them make changes with GET, as in the original. */

/** An authenticated request. */
export interface Call {
  session: Session
  system: string
  /** The image type in the path; empty if the path has none, like `tag`. */
  type: string
  tag: string
  query: URLSearchParams
  body(): Promise<unknown>
}

export interface Operation extends Route {
  /** Resolves to the body of the answer. Throws HttpError. */
  run(requests: Requests, call: Call): Promise<unknown>
}

const SYSTEM = '/:system'
const IMAGE = '/:system/:type/:tag{.+}'

export const OPERATIONS: readonly Operation[] = [
  {
    name: 'list',
    method: 'GET',
    path: `/api/list${SYSTEM}`,
    access: 'read',
    summary: 'Lists the images of a system that the caller may use.',
    run: async (requests, { session, system }) => ({
      list: (await requests.list(session, system)).map(record => toWire(record, session)),
    }),
  },
  {
    name: 'lookup',
    method: 'GET',
    path: `/api/lookup${IMAGE}`,
    access: 'read',
    summary: 'Returns the record of an image that is ready.',
    run: async (requests, { session, ...image }) => {
      const record = await requests.lookup(session, image)
      if (!record) throw new HttpError(404, 'image not found')
      return toWire(record, session)
    },
  },
  {
    name: 'pull',
    method: 'POST',
    path: `/api/pull${IMAGE}`,
    access: 'change',
    summary: 'Starts a pull from a registry, or returns its state.',
    run: async (requests, { session, body, ...image }) =>
      toWire(await requests.pull(session, image, parseAcl(await body())), session),
  },
  {
    name: 'doimport',
    method: 'POST',
    path: `/api/doimport${IMAGE}`,
    access: 'change',
    summary: 'Starts an import of a file of the system.',
    run: async (requests, { session, body, ...image }) => {
      const value = await body()
      return toWire(await requests.import(session, image, parseAcl(value), parseImport(value)), session)
    },
  },
  {
    name: 'expire',
    method: 'GET',
    path: `/api/expire${IMAGE}`,
    access: 'operator',
    summary: 'Removes an image.',
    run: async (requests, { session, ...image }) => ({ status: await requests.expire(session, image) }),
  },
  {
    name: 'autoexpire',
    method: 'GET',
    path: `/api/autoexpire${SYSTEM}`,
    access: 'operator',
    summary: 'Removes the images of a system that have expired.',
    run: async (requests, { session, system }) => ({ status: await requests.autoexpire(session, system) }),
  },
  {
    name: 'queue',
    method: 'GET',
    path: `/api/queue${SYSTEM}`,
    access: 'read',
    summary: 'Lists the pulls that wait or run.',
    run: async (requests, { session, system }) => ({
      list: (await requests.queue(session, system)).map(({ status, pulltag }) => ({
        status,
        image: pulltag,
      })),
    }),
  },
  {
    name: 'metrics',
    method: 'GET',
    path: `/api/metrics${SYSTEM}`,
    access: 'operator',
    summary: 'Lists the latest look-ups.',
    run: async (requests, { session, system, query }) =>
      requests
        .metrics(session, system, parseLimit(query.get('limit')))
        .map(({ uid, time, ...row }) => ({ ...row, uid: uid ?? 'MISSING', time: new Seconds(time) })),
  },
]
