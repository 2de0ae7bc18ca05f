import type { z } from 'zod'
import type { Image } from '../images/image.ts'
import type { Viewer } from '../images/visibility.ts'
import type { ApiRequest } from './api-request.ts'
import type { Parameters, Values } from './parameters.ts'
import type { Route } from './router.ts'
import type { Service } from './service.ts'

/** Everything that a client can ask of the Image API is one entry of a table; this is the form of an entry. */

/**
 * Which image an operation works on. Absent: it has nothing to do with images. `any`: none in particular.
 * `new`: the UUID in the path is that of an image that does not exist yet. `visible`: the image in the path, if
 * the caller may see it. `readable`: the same, and its files are intact. `own`: the same as `visible`, and the
 * caller may change it.
 */
export type ImageScope = 'any' | 'new' | 'visible' | 'readable' | 'own'

/** An answer as documentation and tests need it: JSON of a schema, bytes of a media type, or no body. */
export type AnswerKind =
  | { description: string; schema: z.ZodType }
  | { description: string; media: string }
  | { description: string }

export interface Call<Q extends Parameters, S extends ImageScope | undefined> {
  readonly request: ApiRequest
  readonly service: Service
  /** The declared parameters of the query, checked. */
  readonly parameters: Values<Q>
  /** The value of the body where the operation declares one; undefined if none was sent. */
  readonly body: unknown
  /** On whose behalf and in which channel, for operations that have to do with images. */
  readonly viewer: S extends ImageScope ? Viewer : undefined
  readonly image: S extends 'visible' | 'readable' | 'own' ? Image : undefined
}

export interface Operation<
  Q extends Parameters = Parameters,
  S extends ImageScope | undefined = ImageScope | undefined,
> extends Route {
  readonly image?: S
  /** Whether `If-Match` and `If-None-Match` guard the change of the image. */
  readonly conditional?: boolean
  readonly parameters?: Q
  /** A schema if the body is read as a value before `handle`; `bytes` if `handle` reads it as a file. */
  readonly body?: z.ZodType | 'bytes'
  /** By status. Errors are not listed: all have one form. */
  readonly answers: Readonly<Record<number, AnswerKind>>
  /** Whether a server that is set up like this has it; absent is always. */
  isOffered?(service: Service): boolean
  /** Answers, or resolves to the image that is the answer. */
  handle(call: Call<Q, S>): Promise<Response | Image>
}

/** An operation of any parameters, as the table holds it. */
// biome-ignore lint/suspicious/noExplicitAny: what `handle` takes is tied to the rest of the entry by `operation`.
export type AnyOperation = Operation<any, any>

/** Ties the types of an entry together. */
export const operation = <
  const Q extends Parameters = Record<never, never>,
  const S extends ImageScope | undefined = undefined,
>(
  entry: Operation<Q, S>,
): AnyOperation => entry
