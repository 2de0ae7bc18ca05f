/** Whether the storage takes writes. It is unhealthy from a write that fails until one succeeds. */
export class Health {
  #problem: string | undefined
  #timer: NodeJS.Timeout | undefined
  readonly #probe: () => Promise<void>
  readonly #interval: number
  /** Called once when it turns bad, with the reason, and once when it is good again. */
  onChange: (problem: string | undefined) => void = () => {}

  /**
   * `probe`: a durable write, for the time when no client asks for one. `interval`: milliseconds between two of them
   * while the storage is unhealthy.
   */
  constructor(probe: () => Promise<void>, interval = 5000) {
    this.#probe = probe
    this.#interval = interval
  }

  /** What is wrong; undefined if nothing is. */
  get problem(): string | undefined {
    return this.#problem
  }

  failed(problem: string) {
    const isNews = this.#problem === undefined
    this.#problem = problem
    if (!isNews) return
    this.#timer = setInterval(() => this.#tryAgain(), this.#interval).unref()
    this.onChange(problem)
  }

  succeeded() {
    if (this.#problem === undefined) return
    this.#problem = undefined
    this.close()
    this.onChange(undefined)
  }

  close() {
    clearInterval(this.#timer)
  }

  #tryAgain() {
    this.#probe().then(
      () => this.succeeded(),
      () => {},
    )
  }
}
