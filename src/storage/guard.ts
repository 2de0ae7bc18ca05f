import { ImgapiError, storageIsDown } from '../images/errors.ts'

/** What the operator must know of errors that the system gives, whichever driver met them. */
const REASONS: Record<string, string> = {
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EFBIG: 'the file is larger than the system allows',
  EROFS: 'the data directory is read-only',
  EACCES: 'the server may not write to its data directory',
  EPERM: 'the server may not write to its data directory',
  EIO: 'the disk reports an error',
  EMFILE: 'too many files are open',
  ENFILE: 'too many files are open',
}

function named(error: unknown): unknown {
  if (error instanceof ImgapiError) return error
  const reason = REASONS[(error as NodeJS.ErrnoException)?.code ?? '']
  return reason ? storageIsDown(`storage is down at the moment: ${reason}`, error) : error
}

/** Every driver goes behind this: its errors come out in the words of the Image API. */
export function guard<Port extends object>(driver: Port): Port {
  const guarded = Object.create(driver) as Record<string, unknown>
  for (const name of methodsOf(driver)) {
    const method = (driver as Record<string, (...args: unknown[]) => Promise<unknown>>)[name]!
    guarded[name] = async (...args: unknown[]) => {
      try {
        const found = await method.apply(driver, args)
        return isPort(found) ? guard(found) : found
      } catch (error) {
        throw named(error)
      }
    }
  }
  return guarded as Port
}

const methodsOf = (driver: object) =>
  Object.entries(Object.getOwnPropertyDescriptors(Object.getPrototypeOf(driver)))
    .filter(([name, { value }]) => name !== 'constructor' && typeof value === 'function')
    .map(([name]) => name)

/** A received file is a port too: it still has to be attached. */
const isPort = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && 'attach' in value && 'discard' in value
