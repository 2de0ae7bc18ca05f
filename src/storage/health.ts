/** Tracks whether the storage accepts writes: unhealthy from the first failed write until one succeeds. */
export class Health {
  #problem: string | undefined
  #timer: NodeJS.Timeout | undefined
  readonly #probe: () => Promise<void>
  readonly #interval: number
  /** Called once when the storage becomes unhealthy, with the reason, and once when it recovers. */
  onChange: (problem: string | undefined) => void = () => {}

  /**
   * `probe`: a durable write, which detects recovery when no client writes. `interval`: milliseconds between two
   * probes while the storage is unhealthy.
   */
  constructor(probe: () => Promise<void>, interval = 5000) {
    this.#probe = probe
    this.#interval = interval
  }

  /** The reason of the last failure; undefined while the storage is healthy. */
  get problem(): string | undefined {
    return this.#problem
  }

  failed(problem: string) {
    const wasHealthy = this.#problem === undefined
    this.#problem = problem
    if (!wasHealthy) return
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
