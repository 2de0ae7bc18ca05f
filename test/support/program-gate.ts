import { chmodSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { temporaryFolder } from './server.ts'
import { until } from './until.ts'

/** Holds programs of the system where a test looks at the state or kills the server. */
export class Gate {
  readonly #folder = temporaryFolder()

  /** `program` waits, before or after its work, if its arguments match this pattern of the shell. */
  constructor(program: string, pattern = '*', when: 'before' | 'after' = 'before') {
    mkdirSync(join(this.#folder, 'bin'))
    const own = join(this.#folder, 'bin', program)
    const script = `#!/bin/sh
pass() {
  if [ -e ${this.#closed} ]; then : > ${this.#waiting}; fi
  while [ -e ${this.#closed} ]; do sleep 0.02; done
  # A program does not begin when the process that ran it is gone.
  kill -0 $PPID 2>/dev/null || exit 1
}
PATH=\${PATH#*:}
case "$*" in
  ${pattern}) ${when === 'before' ? `pass; exec ${program} "$@"` : `${program} "$@" && pass`} ;;
  *) exec ${program} "$@" ;;
esac
`
    writeFileSync(own, script)
    chmodSync(own, 0o755)
    this.close()
  }

  get #closed() {
    return join(this.#folder, 'closed')
  }

  get #waiting() {
    return join(this.#folder, 'waiting')
  }

  /** For the server, so that it finds the program here first. */
  get env() {
    return { PATH: `${join(this.#folder, 'bin')}${delimiter}${process.env.PATH}` }
  }

  close() {
    writeFileSync(this.#closed, '')
    rmSync(this.#waiting, { force: true })
  }

  open() {
    rmSync(this.#closed, { force: true })
  }

  async someoneWaits() {
    await until('a program waits at the gate', () => existsSync(this.#waiting))
  }
}
