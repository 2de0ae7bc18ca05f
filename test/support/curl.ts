import { execFile } from 'node:child_process'

export interface CurlResult {
  /** curl's own; 0 unless the transfer itself failed. */
  exitCode: number
  stdout: string
  stderr: string
}

/** The real curl, quiet but for errors, and without anybody's ~/.curlrc. */
export function curl(...args: string[]): Promise<CurlResult> {
  return new Promise((resolve, reject) => {
    const options = { maxBuffer: 64 * 1024 * 1024 }
    execFile('curl', ['--disable', '-sS', '--max-time', '60', ...args], options, (error, stdout, stderr) => {
      if (error && typeof error.code !== 'number') reject(error)
      else resolve({ exitCode: Number(error?.code ?? 0), stdout, stderr })
    })
  })
}
