import { MultiBar, type Options, type Params, type SingleBar } from 'cli-progress'
import { bytes, duration, rate } from './format.ts'

/**
 * Shows the progress of transfers on stderr: on a terminal a bar for each; otherwise a line every few seconds and
 * one at the end; nothing with `--quiet`.
 */

/** A transfer that is shown until finish or fail is called. */
export interface Transfer {
  /** Sets the number of bytes done. */
  update(done: number): void
  /** Ends the transfer with a final word, such as `sent`; `done` by default. */
  finish(what?: string): void
  fail(): void
}

interface ProgressOptions {
  quiet: boolean
  stream?: NodeJS.WriteStream
  now?: () => number
}

/** Milliseconds between two lines of one transfer. */
const LINE_INTERVAL = 5000

const NO_TRANSFER: Transfer = { update() {}, finish() {}, fail() {} }

export class Progress {
  readonly #quiet: boolean
  readonly #stream: NodeJS.WriteStream
  readonly #now: () => number
  #bars: MultiBar | undefined

  constructor({ quiet, stream = process.stderr, now = () => Date.now() }: ProgressOptions) {
    this.#quiet = quiet
    this.#stream = stream
    this.#now = now
  }

  /** Starts a transfer. `verb` is shown beside it: `sending`. `from` is the number of bytes done before. */
  start(label: string, verb: string, total: number, from = 0): Transfer {
    if (this.#quiet) return NO_TRANSFER
    const meter = new Meter(this.#now, total, from)
    return this.#stream.isTTY ? this.#startBar(label, verb, meter) : this.#startLines(label, verb, meter)
  }

  /** Writes a line to stderr, above the bars. */
  note(line: string) {
    if (this.#quiet) return
    if (this.#bars) this.#bars.log(`${line}\n`)
    else this.#stream.write(`${line}\n`)
  }

  /** Writes a result to stdout; above the bars if both are on one terminal. */
  say(line: string) {
    if (this.#bars && process.stdout.isTTY) this.#bars.log(`${line}\n`)
    else console.log(line)
  }

  /** Removes the bars and restores the terminal. */
  stop() {
    this.#bars?.update()
    this.#bars?.stop()
    this.#bars = undefined
  }

  #startBar(label: string, verb: string, meter: Meter): Transfer {
    this.#bars ??= new MultiBar({ stream: this.#stream, hideCursor: true, format: renderBar, fps: 10 })
    const bar: SingleBar = this.#bars.create(meter.total, meter.done, { label, meter, verb })
    const end = (word: string) => {
      meter.end()
      bar.update(meter.done, { verb: word })
      bar.stop()
    }
    return {
      update: done => {
        meter.update(done)
        bar.update(done)
      },
      finish: what => {
        meter.update(meter.total)
        end(what ?? 'done')
      },
      fail: () => end('failed'),
    }
  }

  #startLines(label: string, verb: string, meter: Meter): Transfer {
    let written = this.#now()
    return {
      update: done => {
        meter.update(done)
        if (this.#now() - written < LINE_INTERVAL || done >= meter.total) return
        written = this.#now()
        this.#stream.write(`${label}: ${verb}, ${meter.describe()}\n`)
      },
      finish: what => {
        meter.update(meter.total)
        meter.end()
        this.#stream.write(`${label}: ${what ?? 'done'}, ${meter.summary()}\n`)
      },
      fail: () =>
        this.#stream.write(`${label}: failed after ${bytes(meter.done)} of ${bytes(meter.total)}\n`),
    }
  }
}

/** Measures a transfer. The rate is that of the last five seconds. */
class Meter {
  readonly total: number
  done: number
  readonly #from: number
  readonly #now: () => number
  readonly #started: number
  #ended: number | undefined
  #samples: { time: number; done: number }[]

  constructor(now: () => number, total: number, from: number) {
    this.#now = now
    this.total = total
    this.done = from
    this.#from = from
    this.#started = now()
    this.#samples = [{ time: this.#started, done: from }]
  }

  update(done: number) {
    this.done = done
    const time = this.#now()
    if (time - this.#samples.at(-1)!.time < 200) return
    this.#samples = [...this.#samples, { time, done }].filter(sample => time - sample.time <= 5000)
  }

  end() {
    this.#ended ??= this.#now()
  }

  get isOver() {
    return this.#ended !== undefined
  }

  get #rate(): number {
    const first = this.#samples[0]!
    const seconds = (this.#now() - first.time) / 1000
    return seconds > 0 ? (this.done - first.done) / seconds : 0
  }

  get share() {
    return this.total === 0 ? 1 : Math.min(1, this.done / this.total)
  }

  /** Describes a running transfer: share, bytes, rate, time left. */
  describe(): string {
    const left = this.#rate > 0 ? `, ${duration((this.total - this.done) / this.#rate)} left` : ''
    const percent = `${Math.floor(this.share * 100)}%`
    return `${percent}, ${bytes(this.done)} of ${bytes(this.total)}, ${rate(this.#rate)}${left}`
  }

  /** Describes a finished transfer: bytes, duration, rate. */
  summary(): string {
    const seconds = ((this.#ended ?? this.#now()) - this.#started) / 1000
    const moved = this.done - this.#from
    const resumed = this.#from > 0 ? ` (${bytes(this.#from)} resumed)` : ''
    const speed = seconds >= 0.01 && moved > 0 ? `, ${rate(moved / seconds)}` : ''
    return `${bytes(this.total)}${resumed} in ${duration(seconds)}${speed}`
  }
}

interface Payload {
  label: string
  verb: string
  meter: Meter
}

const BAR = 20

/** Renders label, bar and figures on one line. If it is too narrow, the label is shortened, then the bar is dropped. */
export function renderBar(
  _options: Options,
  { maxWidth = 80 }: Params & { maxWidth?: number },
  payload: Payload,
) {
  const { label, verb, meter } = payload
  const figures =
    meter.isOver && verb !== 'failed' ? `${verb}, ${meter.summary()}` : `${verb} ${meter.describe()}`
  const filled = Math.round(meter.share * BAR)
  const bar = `[${'='.repeat(filled)}${' '.repeat(BAR - filled)}] `
  const room = maxWidth - 1 - figures.length
  const withBar = room - bar.length >= Math.min(label.length, 12) + 1
  const space = Math.max(0, room - 1 - (withBar ? bar.length : 0))
  const name = label.length > space ? `${label.slice(0, Math.max(0, space - 1))}…` : label
  return `${space > 1 ? `${name} ` : ''}${withBar ? bar : ''}${figures}`.slice(0, maxWidth - 1)
}
