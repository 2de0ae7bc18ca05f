/** An archive that cannot be read or exceeds a limit; the message is for the user. */
export class TarError extends Error {
  override readonly name = 'TarError'
}
