import { isIP } from 'node:net'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { type AccessRecord, lineWriter } from '../../src/http/access-log.ts'
import { fc } from '../support/properties.ts'

/** The line of a request, beside the line that pino writes for the same record. */

/** A log whose lines are collected. */
function collect(bindings: Record<string, unknown> = {}) {
  const lines: string[] = []
  const base = { name: 'imgapi', hostname: 'a "host"', pid: 1, v: 0 }
  const timestamp = () => ',"time":"2020-01-01T00:00:00.000Z"'
  const log = pino({ base, timestamp, level: 'info' }, { write: line => lines.push(line) }).child(bindings)
  return { log, lines }
}

// HTTP knows no half surrogate pairs, which pino alone writes as they are.
const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 300 }), fc.string({ maxLength: 5 }))
const address = fc.oneof(fc.ipV4(), fc.ipV6()).filter(one => isIP(one) > 0)

const record: fc.Arbitrary<AccessRecord> = fc.record({
  req_id: text,
  route: fc.stringMatching(/^([A-Z][a-z]{1,9}\.)?[A-Za-z ]{1,30}$/),
  req: fc.record({
    method: fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'M-SEARCH'),
    url: text,
    remoteAddress: fc.option(address, { nil: undefined }),
  }),
  res: fc.record({ statusCode: fc.integer({ min: 0, max: 599 }) }),
  latency: fc.oneof(
    fc.nat().map(thousandths => thousandths / 1000),
    fc.nat(),
  ),
  bytes: fc.maxSafeNat(),
  user: fc.option(text, { nil: undefined }),
  incomplete: fc.constantFrom(true, undefined),
})

test('is the line of pino, byte for byte', () => {
  fc.assert(
    fc.property(record, text, fc.constantFrom({}, { part: 'x"y' }), (fields, message, bindings) => {
      const { log, lines } = collect(bindings)
      log.info(fields, message)
      lineWriter(log)(fields, message)
      expect(lines).toHaveLength(2)
      expect(lines[1]).toBe(lines[0])
    }),
    { numRuns: 1000 },
  )
})

test('follows the level of the log, as it is at the time', () => {
  const { log, lines } = collect()
  const write = lineWriter(log)
  const [fields] = fc.sample(record, 1) as [AccessRecord]
  log.level = 'warn'
  write(fields, 'not written')
  log.level = 'info'
  write(fields, 'written')
  expect(lines.map(line => JSON.parse(line).msg)).toEqual(['written'])
})
