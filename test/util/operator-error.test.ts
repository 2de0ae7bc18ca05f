import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { BundleError } from '../../src/client/bundle/bundle-error.ts'
import { TargetError } from '../../src/client/target.ts'
import { ConfigError } from '../../src/config/config.ts'
import { EXIT, isForOperator, OperatorError, prefixed } from '../../src/util/operator-error.ts'

/** Errors of which the command line prints the message alone. */

const caught = (run: () => unknown): unknown => {
  try {
    return run()
  } catch (error) {
    return error
  }
}

describe('an error is for the operator', () => {
  test.for<[string, unknown, boolean]>([
    ['if its class says so', new OperatorError('x'), true],
    ['if it is about the config', new ConfigError('x'), true],
    ['if the system refused a call', caught(() => readFileSync('/no/such/file')), true],
    ['and not if it is a bug', caught(() => (undefined as unknown as string).length), false],
    ['and not if it is no error', 'x', false],
  ])('%s', ([, error, expected]) => {
    expect(isForOperator(error)).toBe(expected)
  })
})

test('each class has its exit code', () => {
  expect(new OperatorError('x').exitCode).toBe(EXIT.failed)
  expect(new TargetError('x').exitCode).toBe(EXIT.usage)
  expect(new BundleError('x', { isNotFound: true }).exitCode).toBe(EXIT.notFound)
})

test('a prefix says where it arose, and the exit code stays', () => {
  expect(prefixed(new BundleError('gone', { isNotFound: true }), 'images.tar')).toMatchObject({
    message: 'images.tar: gone',
    exitCode: EXIT.notFound,
  })
  expect(
    prefixed(
      caught(() => readFileSync('/no/such')),
      'tls',
    ),
  ).toBeInstanceOf(OperatorError)
  const bug = new TypeError('bug')
  expect(prefixed(bug, 'tls')).toBe(bug)
})
