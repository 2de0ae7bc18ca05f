import { checkPreconditions, isNotModified } from '../conditions.ts'
import { operation } from '../operation.ts'
import { AN_IMAGE } from './schemas.ts'

/** Reference contract, 8.7. */
export const getImage = operation({
  name: 'GetImage',
  method: 'GET',
  path: '/images/:uuid',
  access: 'read',
  image: 'readable',
  summary: 'Returns the manifest of an image.',
  answers: { ...AN_IMAGE, 304: { description: 'the client has this manifest already' } },
  async handle({ request, image }) {
    const fields = request.visibleFields()
    const etags = [request.etagOf(image, fields)]
    checkPreconditions(request.headers, { etags })
    if (isNotModified(request.headers, { etags })) return request.empty(304, { Etag: `"${etags[0]}"` })
    return request.image(image, fields)
  },
})
