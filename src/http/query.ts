import { badRequest, invalidParameter } from '../images/errors.ts'

/**
 * The parameters of a request, separated by `&` or `;` (which the predecessor's README uses). A parameter that is given
 * twice is an error. An empty one counts as absent in a read; in a change it is an error, because ignoring it could
 * change something else than intended.
 */
export class Query {
  readonly #values: Map<string, string[]>
  readonly #isChange: boolean

  /** `isChange`: whether the request changes something. Throws BadRequestError for invalid percent-encoding. */
  constructor(search: string, { isChange = false } = {}) {
    this.#values = new Map()
    this.#isChange = isChange
    if (search === '') return
    for (const pair of search.split(/[&;]/)) {
      if (pair === '') continue
      const equals = pair.indexOf('=')
      const key = decode(equals === -1 ? pair : pair.slice(0, equals))
      const value = equals === -1 ? '' : decode(pair.slice(equals + 1))
      const values = this.#values.get(key)
      if (values) values.push(value)
      else this.#values.set(key, [value])
    }
  }

  /** Returns whether a parameter is given, empty or not. */
  has(name: string): boolean {
    return this.#values.has(name)
  }

  /** Returns an optional parameter. Throws InvalidParameter if it is given twice, or empty in a change. */
  get(name: string): string | undefined {
    const value = this.nonEmpty(name)
    if (value === undefined && this.#isChange && this.has(name)) {
      throw invalidParameter(name, `the parameter "${name}" is empty: give it a value, or leave it out`)
    }
    return value
  }

  /** Returns a parameter, undefined if it is absent or empty. Throws InvalidParameter if it is given twice. */
  nonEmpty(name: string): string | undefined {
    const values = this.#values.get(name)
    if (!values) return undefined
    if (values.length > 1) {
      throw invalidParameter(name, `invalid "${name}": the parameter is given ${values.length} times`)
    }
    return values[0] === '' ? undefined : values[0]
  }

  /** Returns a parameter that is `true` or `false`. Throws InvalidParameter for other values. */
  flag(name: string): boolean | undefined {
    const value = this.get(name)
    if (value === undefined) return undefined
    if (value === 'true' || value === 'false') return value === 'true'
    throw invalidParameter(name, `invalid value for "${name}" param: "${value}" is not a boolean`)
  }

  /** Returns all values of a parameter but the empty ones. */
  all(name: string): string[] {
    return (this.#values.get(name) ?? []).filter(value => value !== '')
  }

  /** Returns the parameters with that prefix, each with the rest of its name; empty values included. */
  startingWith(prefix: string): [rest: string, value: string][] {
    return [...this.#values].flatMap(([key, values]) =>
      key.startsWith(prefix)
        ? values.map((value): [string, string] => [key.slice(prefix.length), value])
        : [],
    )
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    throw badRequest('URI malformed')
  }
}
