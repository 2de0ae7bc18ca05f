import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { type LeftOut, mergeLayers } from './merge-layers.ts'
import { makeSquashfs } from './squashfs.ts'

/** The other side of convert-layers.ts: a process that converts the layers of one image and exits. */

export interface Order {
  /** The files of the layers, lowest first. */
  layers: string[]
  /** The squashfs file to create. */
  path: string
  /** Options for sqfstar that replace the default ones. */
  options: readonly string[] | undefined
}

export type Outcome = { leftOut: LeftOut } | { error: string }

/**
 * Reads an order from the standard input, one line of JSON, and writes its outcome to the standard output. The end of
 * the input cancels the conversion.
 */
export async function runConverter(): Promise<void> {
  // A terminal sends these signals to the server too, which then cancels the conversion.
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => {})
  const lines = createInterface({ input: process.stdin })
  const [line] = (await once(lines, 'line')) as [string]
  const canceled = new AbortController()
  lines.on('close', () => canceled.abort(new Error('the server has ended')))
  const outcome = await convert(JSON.parse(line) as Order, canceled.signal)
  process.stdout.write(JSON.stringify(outcome))
  // An open input would keep the process running.
  process.stdin.destroy()
}

async function convert({ layers, path, options }: Order, signal: AbortSignal): Promise<Outcome> {
  try {
    const { root, leftOut, archive } = await mergeLayers(layers, signal)
    await makeSquashfs({ root, archive: archive() }, path, signal, options)
    return { leftOut }
  } catch (error) {
    return { error: (error as Error).message }
  }
}
