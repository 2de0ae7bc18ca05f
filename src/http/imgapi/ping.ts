import { z } from 'zod'
import {
  type ErrorCode,
  type FieldError,
  ImgapiError,
  internalError,
  invalidParameter,
  operatorOnly,
} from '../../images/errors.ts'
import { VERSION } from '../../version.ts'
import { operation } from '../operation.ts'
import type { Parameter } from '../parameters.ts'
import { PingSchema } from './schemas.ts'

/** Sample errors that a client may request to test its error handling (reference contract, 8.1). */
const SAMPLES: Record<string, { code: ErrorCode; message?: string; errors?: FieldError[] }> = {
  ValidationFailed: { code: 'ValidationFailed', errors: [] },
  InvalidParameter: { code: 'InvalidParameter', errors: [] },
  ImageFilesImmutable: { code: 'ImageFilesImmutable' },
  ImageAlreadyActivated: { code: 'ImageAlreadyActivated' },
  NoActivationNoFile: { code: 'NoActivationNoFile' },
  OperatorOnly: { code: 'OperatorOnly', message: operatorOnly().message },
  ImageUuidAlreadyExists: { code: 'ImageUuidAlreadyExists' },
  StorageIsDown: { code: 'StorageIsDown', message: 'storage is down at the moment' },
  StorageUnsupported: { code: 'StorageUnsupported', message: 'storage type is unsupported' },
  RemoteSource: { code: 'RemoteSourceError', message: '' },
  Internal: { code: 'InternalError' },
}

/** Error classes of the reference without a sample. */
const OTHERS = new Set([
  'AccountDoesNotExist',
  'Download',
  'ImageHasDependentImages',
  'ImageNotShared',
  'InsufficientServerVersion',
  'NotAvailable',
  'NotImageOwner',
  'NotImplemented',
  'NotMantaPathOwner',
  'OriginDoesNotExist',
  'OriginIsNotActive',
  'OwnerDoesNotExist',
  'ResourceNotFound',
  'ServiceUnavailable',
  'Unauthorized',
  'Upload',
])

/** Throws the requested sample error. */
const sample: Parameter<void> = {
  description: 'answer with a sample of this error',
  schema: z.string(),
  read(query, name) {
    if (query.has(name)) throw sampleError(query.get(name) ?? '')
  },
}

function sampleError(given: string): ImgapiError {
  const name = given.replace(/Error$/, '') || 'Internal'
  const sample = Object.hasOwn(SAMPLES, name) ? SAMPLES[name] : undefined
  if (sample) {
    const { code, message = 'boom', errors } = sample
    return new ImgapiError(code, message, { ...(errors && { errors }) })
  }
  if (OTHERS.has(name)) return internalError(`do not have a sample "${name}Error" error`)
  return invalidParameter('error', `unknown error: ${name}Error`, 'Missing')
}

/** By the field `imgapi`, imgadm distinguishes an Image API from a Dataset API. No credentials are required. */
export const ping = operation({
  name: 'Ping',
  method: 'GET',
  path: '/ping',
  access: 'public',
  summary: 'Returns the version of the server and the name of the authenticated user.',
  parameters: { error: sample },
  answers: { 200: { description: 'the server is running', schema: PingSchema } },
  async handle({ request }) {
    const { user } = request.caller
    return request.json({
      ping: 'pong',
      version: VERSION,
      imgapi: true,
      pid: process.pid,
      ...(user && { user }),
    })
  },
})
