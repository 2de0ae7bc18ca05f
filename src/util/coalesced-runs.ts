interface Run {
  running: Promise<void>
  /** What runs next, if it was requested meanwhile. */
  next?: { work: () => Promise<void>; done: Promise<void> }
}

/** Runs work that several callers can share, such as a sync, at most once at a time under each key. */
export class CoalescedRuns {
  readonly #runs = new Map<string, Run>()

  /**
   * Runs `work` now or, while other work runs under that key, once after it: then all callers that wait share one run,
   * which is that of the last of them. Resolves or rejects as the run does.
   */
  run(key: string, work: () => Promise<void>): Promise<void> {
    const current = this.#runs.get(key)
    if (!current) return this.#start(key, work)
    if (current.next) current.next.work = work
    else {
      const start = () => this.#start(key, current.next!.work)
      current.next = { work, done: current.running.then(start, start) }
    }
    return current.next.done
  }

  #start(key: string, work: () => Promise<void>): Promise<void> {
    const run: Run = { running: work() }
    this.#runs.set(key, run)
    const end = () => {
      if (!run.next) this.#runs.delete(key)
    }
    run.running.then(end, end)
    return run.running
  }
}
