import { spawn } from 'node:child_process'
import { rm } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

/**
 * Files are owned by root: the runtime that mounts the image is root. `-mem`: by default sqfstar buffers uncompressed
 * data in a quarter of the machine's memory, which takes 870 MiB for a layer of 900 MiB; with this limit it takes 140,
 * in the same time.
 */
const OPTIONS = ['-all-root', '-no-progress', '-quiet', '-mem', '512M']

/** Limits a time to the range of the format, in seconds since 1970. */
const clamp = (seconds: number) => Math.min(Math.max(seconds, 0), 2 ** 32 - 1)

/** The most characters of the standard error output of sqfstar that are stored. */
const MOST_OUTPUT = 64 * 1024

export interface SquashfsContent {
  /** A tar archive of all but the root, which sqfstar does not read from an archive. */
  archive: Readable
  root: { mode: number; mtime: number }
}

/**
 * Creates a squashfs file with `sqfstar` (squashfs-tools). `options` replace `-no-xattrs`. On failure it removes the
 * file and throws the error of the archive, or one with the last line of sqfstar's output.
 */
export async function makeSquashfs(
  { archive, root }: SquashfsContent,
  path: string,
  signal: AbortSignal,
  options: readonly string[] = ['-no-xattrs'],
): Promise<void> {
  signal.throwIfAborted()
  await rm(path, { force: true })
  const ofRoot = ['-root-mode', root.mode.toString(8), '-root-time', String(clamp(root.mtime))]
  const child = spawn('sqfstar', [...OPTIONS, ...ofRoot, ...options, path], {
    stdio: ['pipe', 'ignore', 'pipe'],
  })
  let output = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    if (output.length < MOST_OUTPUT) output += text
  })
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on('error', error => reject(new Error(`cannot run sqfstar (squashfs-tools): ${error.message}`)))
    child.on('close', resolve)
  })
  ended.catch(() => {})
  const kill = () => child.kill('SIGKILL')
  signal.addEventListener('abort', kill, { once: true })
  try {
    // If sqfstar fails, the archive ends with EPIPE; the reason is in the output of sqfstar.
    const fed = await pipeline(archive, child.stdin, { signal }).catch((error: Error) => error)
    if (fed && (fed as NodeJS.ErrnoException).code !== 'EPIPE') throw fed
    const code = await ended
    signal.throwIfAborted()
    if (code !== 0 || fed) throw new Error(`sqfstar failed (${code}): ${lastLine(output)}`)
  } catch (error) {
    kill()
    await ended.catch(() => {})
    await rm(path, { force: true })
    throw error
  } finally {
    signal.removeEventListener('abort', kill)
  }
}

const lastLine = (text: string) =>
  text
    .trim()
    .split('\n')
    .at(-1)
    ?.replace(/\p{Cc}/gu, ' ')
    .slice(0, 300) || 'it gave no reason'
