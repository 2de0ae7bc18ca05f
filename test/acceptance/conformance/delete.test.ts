import { addFile, create } from '../../support/api.ts'
import {
  CONTENT,
  casesOf,
  conformance,
  failure,
  imageNotFound,
  invalidParameter,
  notFound,
  unauthorized,
  unknownImage,
} from './runner.ts'

/** Section 8.14: DeleteImage. */

const ALICES = { owner: '{alice}' }

const remove = casesOf('DELETE')

conformance(
  '8.14 DeleteImage',
  [
    remove('an image is gone', 'active', '', { status: 204, text: '' }),
    {
      name: 'its file is gone with it',
      given: 'active',
      after: ['DELETE /images/{image}'],
      request: 'GET /images/{image}/file',
      expect: imageNotFound,
    },
    {
      ...remove('it cannot be deleted twice', 'active', '', imageNotFound),
      after: ['DELETE /images/{image}'],
    },
    { name: 'an unknown image', request: 'DELETE /images/{unknown}', expect: unknownImage },
    remove('nobody deletes without credentials', 'active', '', unauthorized, { anonymous: true, leaves: {} }),
    remove('an owner deletes its own', ['active', ALICES], '?account={alice}', { status: 204 }),
    remove(
      'a stranger sees nothing to delete',
      ['active', ALICES],
      '?account={bob}',
      notFound('image not found'),
      {
        leaves: {},
      },
    ),
    remove(
      'an account in the acl does not delete',
      ['active', { ...ALICES, acl: ['{bob}'] }],
      '?account={bob}',
      failure(422, 'NotImageOwner', 'account {bob} is not the owner of image {image}'),
      { leaves: {} },
    ),
    remove(
      'an account must be a UUID',
      'active',
      '?account=x',
      invalidParameter('account', 'invalid "account": not a UUID: "x"'),
      { leaves: {} },
    ),
    remove(
      'force_all_channels must be a boolean',
      'active',
      '?force_all_channels=x',
      invalidParameter('force_all_channels', /not a boolean/),
      { leaves: {} },
    ),
    {
      name: 'an origin stays as long as it has children, all of which are named',
      request: 'DELETE /images/{origin}',
      expect: failure(
        422,
        'ImageHasDependentImages',
        'image "{origin}" has 2 dependent incremental image(s): {two}',
      ),
    },
    {
      name: 'of ten and more children five are named',
      request: 'DELETE /images/{busy}',
      expect: failure(
        422,
        'ImageHasDependentImages',
        'image "{busy}" has 10 dependent incremental image(s): {five}, and 5 more...',
      ),
    },
  ],
  {
    setup: async server => {
      const family = async (size: number) => {
        const origin = await create(server)
        await addFile(server, origin.uuid, CONTENT)
        const children = await Promise.all(
          Array.from({ length: size }, () => create(server, { origin: origin.uuid })),
        )
        return { origin: origin.uuid, children: children.map(child => child.uuid).sort() }
      }
      const small = await family(2)
      const large = await family(10)
      return {
        origin: small.origin,
        two: small.children.join(', '),
        busy: large.origin,
        five: large.children.slice(0, 5).join(', '),
      }
    },
  },
)
