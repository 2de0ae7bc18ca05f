import { describe, expect, test } from 'vitest'
import { checkCompression, readCompression, sniffCompression } from '../../src/images/compression.ts'
import { COMPRESSIONS, FIELD_NAMES } from '../../src/images/fields.ts'
import { readManifest, sortFields } from '../../src/images/intake.ts'
import { fc } from '../support/properties.ts'
import { codeOf } from '../support/refusal.ts'

describe('intake', () => {
  test.for([[undefined], [null], ['text'], [5], [true], [[]], [[{}]]])('%j is no manifest', ([body]) => {
    expect(codeOf(() => readManifest(body))).toBe('ValidationFailed')
  })

  test('null is absent, and our own key never comes in', () => {
    const body = { name: 'n', origin: null, tags: { a: null }, _imgapi: { files: [] } }
    expect(readManifest(body)).toEqual({ name: 'n', tags: { a: null } })
  })

  test('every field of a body is taken, kept, dropped or refused, and none is changed', () => {
    const bodies = fc.dictionary(fc.oneof(fc.constantFrom(...FIELD_NAMES), fc.string()), fc.jsonValue())
    fc.assert(
      fc.property(bodies, fc.constantFrom('create' as const, 'import' as const), (body, verb) => {
        let sorted: ReturnType<typeof sortFields>
        try {
          sorted = sortFields(body, verb)
        } catch (error) {
          expect(error).toMatchObject({ code: 'InvalidParameter', errors: expect.any(Array) })
          for (const { field } of (error as { errors: { field: string }[] }).errors)
            expect(body).toHaveProperty([field])
          return
        }
        for (const [key, value] of Object.entries({ ...sorted.fields, ...sorted.extra })) {
          expect(value).toBe(body[key])
        }
        if (verb === 'create') expect(sorted.extra).toEqual({})
        expect(Object.keys(sorted.extra).filter(key => (FIELD_NAMES as string[]).includes(key))).toEqual([])
      }),
      { numRuns: 500 },
    )
  })

  test('a newer server’s fields are kept on import and refused on create', () => {
    expect(sortFields({ novel: 1, state: 'active', activated: true }, 'import')).toEqual({
      fields: {},
      extra: { novel: 1 },
    })
    expect(codeOf(() => sortFields({ novel: 1 }, 'create'))).toBe('InvalidParameter')
  })
})

describe('compression', () => {
  const HEADS = {
    gzip: [0x1f, 0x8b, 0x08],
    bzip2: [...Buffer.from('BZh')],
    xz: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00],
  }
  const rest = fc.uint8Array({ maxLength: 10 })

  test.for(Object.entries(HEADS))('%s is known by its first bytes, and not by fewer', ([name, head]) => {
    fc.assert(
      fc.property(rest, tail => {
        expect(sniffCompression(Buffer.from([...head, ...tail]))).toBe(name)
      }),
    )
    for (let length = 0; length < head.length; length++) {
      expect(sniffCompression(Buffer.from(head.slice(0, length)))).toBe('none')
    }
  })

  test('a label is accepted exactly if it is true, and `none` is always', () => {
    const heads = fc.oneof(rest, fc.constantFrom(...Object.values(HEADS).map(head => Uint8Array.from(head))))
    fc.assert(
      fc.property(heads, fc.constantFrom(...COMPRESSIONS), (bytes, claimed) => {
        const head = Buffer.from(bytes)
        const isTrue = claimed === 'none' || sniffCompression(head) === claimed
        expect(codeOf(() => checkCompression(claimed, head))).toBe(isTrue ? undefined : 'InvalidParameter')
        expect(codeOf(() => checkCompression(undefined, head))).toBeUndefined()
      }),
    )
  })

  test('a name of a compression is one of four', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.constantFrom(...COMPRESSIONS, 'constructor', 'GZIP')), name => {
        const isKnown = (COMPRESSIONS as readonly string[]).includes(name)
        expect(codeOf(() => readCompression(name))).toBe(isKnown ? undefined : 'InvalidParameter')
      }),
    )
  })
})
