import type { z } from 'zod'
import type { Image } from '../images/image.ts'
import type { Viewer } from '../images/visibility.ts'
import type { ApiRequest } from './api-request.ts'
import type { Parameters, Values } from './parameters.ts'
import type { Route } from './router.ts'
import type { Service } from './service.ts'

/** The form of an operation. Every request that the Image API answers is one operation in one table. */

/**
 * Which image an operation works on. Absent: it does not concern images. `any`: no particular one. `new`: the UUID in
 * the path may be that of an image that does not exist yet. `visible`: the image in the path, which the caller may see.
 * `readable`: as `visible`, and its files are intact. `own`: as `visible`, and the caller may change it.
 */
export type ImageScope = 'any' | 'new' | 'visible' | 'readable' | 'own'

/** An answer for documentation and tests: JSON with a schema, bytes with a media type, or no body. */
export type AnswerKind =
  | { description: string; schema: z.ZodType }
  | { description: string; media: string }
  | { description: string }

/** The arguments of `handle`. */
export interface Call<Q extends Parameters, S extends ImageScope | undefined> {
  readonly request: ApiRequest
  readonly service: Service
  /** The declared parameters of the query, checked. */
  readonly parameters: Values<Q>
  /** The value of the body where the operation declares one; undefined if none was sent. */
  readonly body: unknown
  /** The account and the channel that the request is made for, for operations on images. */
  readonly viewer: S extends ImageScope ? Viewer : undefined
  readonly image: S extends 'visible' | 'readable' | 'own' ? Image : undefined
}

export interface Operation<
  Q extends Parameters = Parameters,
  S extends ImageScope | undefined = ImageScope | undefined,
> extends Route {
  readonly image?: S
  /** Whether `If-Match` and `If-None-Match` are conditions of the change. */
  readonly conditional?: boolean
  readonly parameters?: Q
  /** A schema if the body is read as a value before `handle`; `bytes` if `handle` reads it as a file. */
  readonly body?: z.ZodType | 'bytes'
  /** Answers by status. Errors are left out, because all have one form. */
  readonly answers: Readonly<Record<number, AnswerKind>>
  /** Returns whether a server with this config has the operation; absent means always. */
  isOffered?(service: Service): boolean
  /** Sends the answer, or returns an image whose manifest is the answer. */
  handle(call: Call<Q, S>): Promise<Response | Image>
}

/** An operation with any parameters, as in the table. */
// biome-ignore lint/suspicious/noExplicitAny: what `handle` takes is tied to the rest of the entry by `operation`.
export type AnyOperation = Operation<any, any>

/** Infers and checks the types of an operation. */
export const operation = <
  const Q extends Parameters = Record<never, never>,
  const S extends ImageScope | undefined = undefined,
>(
  entry: Operation<Q, S>,
): AnyOperation => entry
