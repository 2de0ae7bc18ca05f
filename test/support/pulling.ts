import { ScriptedRegistry } from './scripted-registry.ts'
import { ALICE, type ShifterOptions, startShifter, type User } from './shifter.ts'

/** A gateway that pulls from a registry that does what the test says. */

/** With this login a repository of the registry can be pulled. */
export const LOGIN = 'alice:s3cret:word'

export const withLogin = (user: User): User => ({ ...user, logins: { here: LOGIN } })
export const WITH_LOGIN = withLogin(ALICE)

export async function startPulling({ imagemanager, ...options }: ShifterOptions = {}) {
  const registry = await new ScriptedRegistry().start()
  const gateway = await startShifter({ imagemanager: { ...registry.locations, ...imagemanager }, ...options })
  return { registry, gateway }
}
