/** A request that is not done; the text is for the client. */
export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly status: number
  /** More than the original gateway says. */
  readonly reason: string | undefined

  constructor(status: number, message: string, reason?: string) {
    super(message)
    this.status = status
    this.reason = reason
  }
}
