import { spawn } from 'node:child_process'
import { rm } from 'node:fs/promises'
import type { Order, Outcome } from './converter.ts'
import type { LeftOut } from './merge-layers.ts'

/** The argument with which this program runs as the converter. */
export const CONVERTER = 'convert-layers'

/**
 * The heap limit of the converter, in MiB. Measured: half a million files take 220 MiB, a million files 300, a million
 * folders 420.
 */
const MOST_MEMORY = 512
/** How long a cancelled converter may take to exit before it is killed, in milliseconds. */
const PATIENCE = 5000
const MOST_WORDS = 64 * 1024

/**
 * Converts layers to a squashfs file in a process of its own: layers that need too much memory end that process and not
 * the server, which continues to answer meanwhile. `[file, ...args]`: the command line of this program. `memory`: MiB.
 * Returns the entries that were left out. Removes the file and throws an error with the reason on failure.
 */
export async function convertLayers(
  order: Order,
  signal: AbortSignal,
  [file, ...args]: readonly string[],
  memory = MOST_MEMORY,
): Promise<LeftOut> {
  signal.throwIfAborted()
  const child = spawn(file!, [...args, CONVERTER], {
    env: { ...process.env, NODE_OPTIONS: `--max-old-space-size=${memory}` },
  })
  const ended = new Promise<number | NodeJS.Signals>((resolve, reject) => {
    child.on('error', error => reject(new Error(`cannot start the converter: ${error.message}`)))
    child.on('close', (code, name) => resolve(code ?? name!))
  })
  const [answer, words] = [textOf(child.stdout), textOf(child.stderr)]
  // A converter that has ended is reported by its exit code, not by the failed write.
  child.stdin.on('error', () => {})
  child.stdin.write(`${JSON.stringify(order)}\n`)
  let timer: NodeJS.Timeout | undefined
  const cancel = () => {
    child.stdin.end()
    timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE)
  }
  signal.addEventListener('abort', cancel, { once: true })
  try {
    const end = await ended
    signal.throwIfAborted()
    if (end !== 0) throw new Error(crashOf(end, words(), memory))
    const outcome = JSON.parse(answer()) as Outcome
    if ('error' in outcome) throw new Error(outcome.error)
    return outcome.leftOut
  } catch (error) {
    await rm(order.path, { force: true })
    throw error
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', cancel)
  }
}

function textOf(stream: NodeJS.ReadableStream): () => string {
  let text = ''
  stream.setEncoding('utf8').on('data', (chunk: string) => {
    if (text.length < MOST_WORDS) text += chunk
  })
  return () => text
}

/** Returns the message for a converter that ended without an outcome. */
function crashOf(end: number | NodeJS.Signals, words: string, memory: number): string {
  if (words.includes('heap out of memory'))
    return `the layers of the image take more than ${memory} MiB of memory`
  const line = words.trim().split('\n').at(-1)!
  return `the converter of layers ended with ${end}: ${line.replace(/\p{Cc}/gu, ' ').slice(0, 300) || 'no reason given'}`
}
