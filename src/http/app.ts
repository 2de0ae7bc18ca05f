import type { Image } from '../images/image.ts'
import { ownImage, readableImage, requireOperator, type Viewer, visibleImage } from '../images/visibility.ts'
import { ApiRequest } from './api-request.ts'
import { checkChangeConditions } from './conditions.ts'
import type { Exchange } from './exchange.ts'
import { OPERATIONS } from './imgapi/index.ts'
import type { AnyOperation } from './operation.ts'
import { readParameters } from './parameters.ts'
import { Renderings } from './renderings.ts'
import { emptyResponse, errorResponse } from './respond.ts'
import { createRouter } from './router.ts'
import type { Handler } from './server.ts'
import type { Service } from './service.ts'

/** Creates the handler of all requests of the Image API. It opens no port and reads no config. */
export function createApp(service: Service): Handler {
  const renderings = new Renderings()
  return createRouter({
    routes: OPERATIONS.filter(operation => operation.isOffered?.(service) ?? true),
    answer: (operation, exchange, parameters) =>
      answer(operation, new ApiRequest(service, renderings, exchange, parameters)),
    renderError: errorResponse,
    onWrongMethod: preflight,
  })
}

/**
 * Answers a request for an operation. The common checks come first, in the order in which the reference reports
 * problems: credentials and the UUID in the path, channel, body, image, conditions, parameters.
 */
async function answer(operation: AnyOperation, request: ApiRequest): Promise<Response> {
  const { service } = request
  await admit(operation, request)
  const viewer = operation.image && request.viewer({ everyChannel: isRead(operation) })
  const body = operation.body && operation.body !== 'bytes' ? await request.body() : undefined
  const image = viewer && (await findImage(operation, request, viewer))
  if (operation.access === 'operator')
    requireOperator(viewer ?? { authenticated: true, account: request.query.get('account') })
  if (image && operation.conditional) {
    checkChangeConditions(request.headers, { etags: [request.etagOf(image)] })
  }
  const parameters = readParameters(operation.parameters, request.query)
  const result = await operation.handle({ request, service, viewer, body, image, parameters })
  return 'uuid' in result ? request.image(result) : result
}

const isRead = ({ access }: AnyOperation) => access === 'read' || access === 'public'

/** Checks UUID and credentials: in reads the reference checks the UUID first, in changes the credentials. */
async function admit(operation: AnyOperation, request: ApiRequest) {
  const hasUuid = operation.path.includes('/:uuid')
  if (hasUuid && isRead(operation)) request.uuid()
  await request.identify(operation.access)
  if (hasUuid && !isRead(operation)) request.uuid()
}

/** Returns the image of the path. Throws ResourceNotFound, NotImageOwner, or StorageIsDown for a damaged file. */
async function findImage(
  { image: scope }: AnyOperation,
  request: ApiRequest,
  viewer: Viewer,
): Promise<Image | undefined> {
  const { images } = request.service
  if (scope === 'visible') return (await visibleImage(images, request.uuid(), viewer)).image
  if (scope === 'readable') return readableImage(images, request.uuid(), viewer)
  if (scope === 'own') return ownImage(images, request.uuid(), viewer)
  return undefined
}

const CORS_HEADERS = 'accept, accept-version, content-type, request-id, origin, x-api-version, x-request-id'

/** Answers a preflight request (CORS), by which a browser checks whether a page of another site may make a request. */
function preflight(exchange: Exchange, methods: readonly string[]): Response | undefined {
  const { method, headers } = exchange.incoming
  const requested = headers['access-control-request-method']
  if (method !== 'OPTIONS' || !headers.origin || !requested || !methods.includes(requested)) return undefined
  exchange.route = 'Preflight'
  return emptyResponse(exchange, 200, {
    'Access-Control-Allow-Origin': '*',
    'Access-Control-Allow-Methods': methods.join(', '),
    'Access-Control-Allow-Headers': CORS_HEADERS,
    'Access-Control-Max-Age': '3600',
    'Content-Length': '0',
  })
}
