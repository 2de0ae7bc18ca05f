import { expect, test } from 'vitest'
import { ImgapiError } from '../../src/images/errors.ts'
import { STATES } from '../../src/images/fields.ts'
import type { Image } from '../../src/images/image.ts'
import type { Images } from '../../src/images/images.ts'
import { activated, requireMutableFiles, withDisabled } from '../../src/images/lifecycle.ts'
import { updated } from '../../src/images/update.ts'
import { fc } from '../support/properties.ts'

/** No sequence of operations leads to a state outside of the contract's table (4.1). */

const NOW = new Date('2026-01-02T03:04:05.678Z')
const FILE = {
  name: 'f',
  size: 1,
  sha1: 'a'.repeat(40),
  mtime: NOW.toISOString(),
  compression: 'none' as const,
}
const images = {
  policy: { mode: 'standalone', anonymous: 'all', channels: [], stallTimeout: 1 },
} as unknown as Images
const UUID = '0dead000-0000-4000-8000-00000000dead'
const START: Image = {
  ...{ v: 2, uuid: UUID, owner: UUID, name: 'n', version: '1', disabled: false, public: false },
  ...{ state: 'unactivated', type: 'other', os: 'other', files: [] },
}

/** What an image comes down to for its lifecycle. */
interface Model {
  state: Image['state']
  disabled: boolean
  hasFile: boolean
  /** Failed after it was active. */
  wasActive: boolean
}

type Step = 'file' | 'activate' | 'enable' | 'disable' | Image['state']

const perform: Record<'file' | 'activate' | 'enable' | 'disable', (image: Image) => Image> = {
  file: image => {
    requireMutableFiles(image)
    return { ...image, files: [FILE] }
  },
  activate: image => activated(image, NOW),
  enable: image => withDisabled(image, false),
  disable: image => withDisabled(image, true),
}
const apply = (image: Image, step: Step): Image =>
  step in perform
    ? perform[step as keyof typeof perform](image)
    : updated(images, image, { state: step }, { authenticated: true })

const isActive = (state: Image['state']) => state === 'active' || state === 'disabled'

/** The contract's table: the next state, or the code of the refusal. */
function expected(model: Model, step: Step): Model | string {
  const live = isActive(model.state)
  const activated = live || model.wasActive
  switch (step) {
    case 'file':
      return activated ? 'ImageFilesImmutable' : { ...model, hasFile: true }
    case 'activate':
      if (activated) return 'ImageAlreadyActivated'
      return model.hasFile
        ? { ...model, state: model.disabled ? 'disabled' : 'active' }
        : 'NoActivationNoFile'
    case 'enable':
      return { ...model, disabled: false, state: live ? 'active' : model.state }
    case 'disable':
      return { ...model, disabled: true, state: live ? 'disabled' : model.state }
    default:
      if (step === model.state) return model
      if (activated && step === 'failed') return { ...model, state: step, wasActive: true }
      if (activated !== isActive(step)) return 'ValidationFailed'
      return activated
        ? { ...model, state: step, disabled: step === 'disabled', wasActive: false }
        : { ...model, state: step }
  }
}

const modelOf = (image: Image): Model => ({
  state: image.state,
  disabled: image.disabled,
  hasFile: image.files.length > 0,
  wasActive: image.wasActive === true,
})

test('any sequence of operations leaves an image in the state that the table says', () => {
  const step = fc.constantFrom<Step>('file', 'activate', 'enable', 'disable', ...STATES)
  const reached = new Set<string>()
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), steps => {
      let image = START
      for (const one of steps) {
        const before = structuredClone(image)
        const next = expected(modelOf(image), one)
        try {
          const after = apply(image, one)
          expect(modelOf(after)).toEqual(next)
          expect(image, 'images are never changed in place').toEqual(before)
          image = after
        } catch (error) {
          if (!(error instanceof ImgapiError)) throw error
          expect(error.code).toBe(next)
        }
        // What holds in every state.
        expect(image.state === 'active' && image.disabled).toBe(false)
        expect(image.state === 'disabled' && !image.disabled).toBe(false)
        if (image.wasActive) expect(image.state).toBe('failed')
        if (isActive(image.state) || image.wasActive) {
          expect(image.files).toHaveLength(1)
          expect(image.published_at).toBe(NOW.toISOString())
        }
        reached.add(image.state)
      }
    }),
    { numRuns: 2000 },
  )
  expect([...reached].sort()).toEqual([...STATES].sort())
})

test('activation keeps the date that an import brought', () => {
  const image = activated({ ...START, files: [FILE], published_at: '2016-01-01T00:00:00Z' }, NOW)
  expect(image.published_at).toBe('2016-01-01T00:00:00Z')
})

test('enabling what is enabled gives the same object, so that nothing is written', () => {
  expect(withDisabled(START, false)).toBe(START)
})
