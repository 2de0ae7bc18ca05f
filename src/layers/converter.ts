import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { type LeftOut, mergeLayers } from './merge-layers.ts'
import { makeSquashfs } from './squashfs.ts'

/** The other side of convert-layers.ts: a process that makes one image of its layers, and ends. */

export interface Order {
  /** Files of the layers, from the bottom up. */
  layers: string[]
  /** The file of squashfs to make. */
  path: string
  /** For sqfstar, in place of its own. */
  options: readonly string[] | undefined
}

export type Outcome = { leftOut: LeftOut } | { error: string }

/** Reads an order, one line of JSON, and answers with its outcome. The end of the standard input cancels it. */
export async function runConverter(): Promise<void> {
  // They are for the server too, which decides what ends.
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => {})
  const lines = createInterface({ input: process.stdin })
  const [line] = (await once(lines, 'line')) as [string]
  const canceled = new AbortController()
  lines.on('close', () => canceled.abort(new Error('the server has ended')))
  const outcome = await convert(JSON.parse(line) as Order, canceled.signal)
  process.stdout.write(JSON.stringify(outcome))
  // Else it would wait for the end of its input.
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
