import { describe, expect, test } from 'vitest'
import { acceptsChannels } from '../../src/http/api-version.ts'
import {
  checkChangeConditions,
  checkPreconditions,
  isNotModified,
  rangeApplies,
} from '../../src/http/conditions.ts'
import { Query } from '../../src/http/query.ts'
import { fc } from '../support/properties.ts'
import { codeOf } from '../support/refusal.ts'

/** How parts of a request are read: queries, versions, conditions. */

describe('a query', () => {
  const encoded = encodeURIComponent

  test('gives back what was encoded, with either separator', () => {
    const pairs = fc.uniqueArray(
      fc.tuple(fc.string({ unit: 'grapheme', minLength: 1 }), fc.string({ unit: 'grapheme' })),
      {
        selector: ([key]) => key,
      },
    )
    fc.assert(
      fc.property(pairs, fc.constantFrom('&', ';', '&&', ';&'), (pairs, separator) => {
        const query = new Query(
          pairs.map(([key, value]) => `${encoded(key)}=${encoded(value)}`).join(separator),
        )
        for (const [key, value] of pairs) expect(query.get(key)).toBe(value === '' ? undefined : value)
        expect(query.startingWith('')).toEqual(pairs)
      }),
    )
  })

  test('is read or refused, whatever it is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), text => {
        expect([undefined, 'BadRequestError']).toContain(codeOf(() => new Query(text).all('x')))
      }),
    )
  })

  test.for([
    ['a=1&a=2', 'InvalidParameter'],
    ['a=1;a=1', 'InvalidParameter'],
    ['a=1&%61=2', 'InvalidParameter'],
    ['a=1&A=2', undefined],
    ['a=%zz', 'BadRequestError'],
  ] as const)('%s: %s', ([text, expected]) => {
    expect(codeOf(() => new Query(text).get('a'))).toBe(expected)
  })

  test('a plus is a space, %3B is a semicolon, and only the first = divides', () => {
    expect(new Query('a=x+y%3Bz=1').get('a')).toBe('x y;z=1')
    expect(new Query('a=x%2By').get('a')).toBe('x+y')
  })

  test('names of objects’ own properties are names like others', () => {
    const query = new Query('__proto__=1&constructor=2')
    expect(query.get('__proto__')).toBe('1')
    expect(query.get('toString')).toBeUndefined()
  })
})

describe('Accept-Version', () => {
  test.for([
    [undefined, false],
    ['~1', false],
    ['1', false],
    ['1.0.0', false],
    ['*', true],
    ['2', true],
    ['~2', true],
    ['2.0.0', true],
    ['>=1', true],
    ['~1||~2', true],
  ] as const)('%s: channels %s', ([version, expected]) => {
    expect(acceptsChannels(version, 'GET', '/images')).toBe(expected)
  })

  test('is a version or refused, whatever it is', () => {
    fc.assert(
      fc.property(fc.string(), version => {
        expect([undefined, 'InvalidVersion']).toContain(codeOf(() => acceptsChannels(version, 'GET', '/')))
      }),
    )
  })
})

describe('conditions', () => {
  const modified = new Date('2020-01-01T00:00:00.500Z')
  const resource = { etags: ['abc', 'def'], modified }
  const tag = fc.constantFrom('"abc"', 'abc', 'W/"def"', 'W/def', '"x"', 'x')
  const tags = fc.array(tag, { minLength: 1, maxLength: 4 })
  const matchesOne = (list: string[]) => list.some(one => /abc|def/.test(one))

  test('If-Match holds exactly if one of the list is the resource’s', () => {
    fc.assert(
      fc.property(tags, list => {
        const failed = codeOf(() => checkPreconditions({ 'if-match': list.join(', ') }, resource))
        expect(failed).toBe(matchesOne(list) ? undefined : 'PreconditionFailed')
      }),
    )
  })

  test('If-None-Match means 304 for a read and 412 for a change', () => {
    fc.assert(
      fc.property(tags, list => {
        const headers = { 'if-none-match': list.join(',') }
        expect(isNotModified(headers, resource)).toBe(matchesOne(list))
        const failed = codeOf(() => checkChangeConditions(headers, resource))
        expect(failed).toBe(matchesOne(list) ? 'PreconditionFailed' : undefined)
      }),
    )
  })

  test('a star stands for any ETag, alone and not in a list', () => {
    for (const [value, expected] of [
      ['*', true],
      ['"x", *', false],
    ] as const) {
      expect(isNotModified({ 'if-none-match': value }, resource)).toBe(expected)
      const failed = codeOf(() => checkPreconditions({ 'if-match': value }, resource))
      expect(failed).toBe(expected ? undefined : 'PreconditionFailed')
    }
  })

  test('dates have whole seconds, and ETags go before them', () => {
    const same = 'Wed, 01 Jan 2020 00:00:00 GMT'
    const before = 'Tue, 31 Dec 2019 23:59:59 GMT'
    expect(isNotModified({ 'if-modified-since': same }, resource)).toBe(true)
    expect(isNotModified({ 'if-modified-since': before }, resource)).toBe(false)
    expect(isNotModified({ 'if-modified-since': same, 'if-none-match': '"x"' }, resource)).toBe(false)
    expect(codeOf(() => checkPreconditions({ 'if-unmodified-since': same }, resource))).toBeUndefined()
    expect(codeOf(() => checkPreconditions({ 'if-unmodified-since': before }, resource))).toBe(
      'PreconditionFailed',
    )
    const both = { 'if-unmodified-since': before, 'if-match': '"abc"' }
    expect(codeOf(() => checkPreconditions(both, resource))).toBeUndefined()
  })

  test.for([
    [undefined, true],
    ['"abc"', true],
    ['abc', true],
    ['"def"', false],
    ['W/"abc"', false],
    ['Wed, 01 Jan 2020 00:00:00 GMT', true],
    ['Thu, 02 Jan 2020 00:00:00 GMT', false],
  ] as const)('If-Range: %s lets a range be served: %s', ([value, expected]) => {
    expect(rangeApplies(value === undefined ? {} : { 'if-range': value }, resource)).toBe(expected)
  })

  test('garbage in any of them is read without an accident', () => {
    const names = ['if-match', 'if-none-match', 'if-range', 'if-modified-since', 'if-unmodified-since']
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...names), fc.string()), headers => {
        expect([undefined, 'PreconditionFailed']).toContain(
          codeOf(() => checkChangeConditions(headers, resource)),
        )
        expect(typeof isNotModified(headers, resource)).toBe('boolean')
        expect(typeof rangeApplies(headers, resource)).toBe('boolean')
      }),
    )
  })
})
