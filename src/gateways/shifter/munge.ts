import PQueue from 'p-queue'
import type { ImageManager } from './imagemanager.ts'
import { runProgram } from './programs.ts'
import { type Authenticate, BadCredential, parsePayload, type Session } from './session.ts'

/** Authentication with munge: `unmunge` verifies the user, the age and the single use of a credential. */

/** Programs at once; further requests wait. */
const AT_ONCE = 8
const TIMEOUT = 10_000

/** Exit codes of unmunge whose reason is reported to the client. */
const REASONS: Record<number, string> = {
  15: 'the credential has expired',
  16: 'the credential is from the future: the clocks differ',
  17: 'the credential was used before',
}

/** Returns a function that verifies credentials with the munge socket of their system. */
export function authenticateMunge({ Platforms }: ImageManager): Authenticate {
  const queue = new PQueue({ concurrency: AT_ONCE })
  return async (credential, system) => {
    const socket = Platforms[system]!.mungeSocketPath!
    if (!credential.startsWith('MUNGE:')) throw new BadCredential('not a munge credential')
    const outcome = await queue.add(() =>
      runProgram('unmunge', ['-S', socket], { input: credential, timeout: TIMEOUT }),
    )
    if (outcome!.code !== 0) {
      throw new BadCredential(
        REASONS[outcome!.code] ?? `the credential is not valid (unmunge: ${outcome!.code})`,
      )
    }
    return parseUnmunged(outcome!.stdout)
  }
}

/**
 * Parses the output of unmunge: `KEY: value` lines, an empty line, the payload. Throws BadCredential unless it
 * reports success.
 */
function parseUnmunged(output: string): Session {
  const end = output.indexOf('\n\n')
  const head = end === -1 ? output : output.slice(0, end)
  const values = new Map<string, string>()
  for (const line of head.split('\n')) {
    const colon = line.indexOf(':')
    if (colon !== -1) values.set(line.slice(0, colon), line.slice(colon + 1).trim())
  }
  const user = parseName(values.get('UID'))
  const group = parseName(values.get('GID'))
  if (values.get('STATUS') !== 'Success (0)' || !user || !group) {
    throw new BadCredential('unmunge did not report that the credential is valid')
  }
  const tokens = parsePayload(end === -1 ? '' : output.slice(end + 2))
  return { user: user.name, uid: user.number, gid: group.number, tokens }
}

/** Parses `name (123)`. */
function parseName(text = ''): { name: string; number: number } | undefined {
  const [, name, number] = /^(.*) \((\d+)\)$/.exec(text) ?? []
  return number === undefined ? undefined : { name: name!, number: Number(number) }
}
