import { spawn } from 'node:child_process'
import { rm } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

/**
 * Everything belongs to root, for who reads it is not who wrote it. By default the converter takes a quarter of the
 * machine's memory for what it has not compressed yet: 870 MiB for a layer of 900 MiB, and 140 with this limit, in the
 * same time.
 */
const OPTIONS = ['-all-root', '-no-progress', '-quiet', '-mem', '512M']

/** Seconds since 1970 that the format can hold. */
const clamp = (seconds: number) => Math.min(Math.max(seconds, 0), 2 ** 32 - 1)

/** The most that is kept of what the converter says. */
const MOST_WORDS = 64 * 1024

export interface SquashfsContent {
  /** A tar archive of all but the root, which the converter does not take from there. */
  archive: Readable
  root: { mode: number; mtime: number }
}

/**
 * Makes a file of squashfs with `sqfstar` (squashfs-tools). `options` take the place of `-no-xattrs`. Nothing is left
 * behind by a failure. Throws the archive's error, or one with the converter's words.
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
  let words = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    if (words.length < MOST_WORDS) words += text
  })
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on('error', error => reject(new Error(`cannot run sqfstar (squashfs-tools): ${error.message}`)))
    child.on('close', resolve)
  })
  ended.catch(() => {})
  const kill = () => child.kill('SIGKILL')
  signal.addEventListener('abort', kill, { once: true })
  try {
    // What ends the converter ends the archive too; then its own words tell more.
    const fed = await pipeline(archive, child.stdin, { signal }).catch((error: Error) => error)
    if (fed && (fed as NodeJS.ErrnoException).code !== 'EPIPE') throw fed
    const code = await ended
    signal.throwIfAborted()
    if (code !== 0 || fed) throw new Error(`sqfstar failed (${code}): ${lastLine(words)}`)
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
