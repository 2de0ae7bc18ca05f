import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'

/** Reads a line without echo. The question goes to stderr: stdout is for results. */
export async function ask(question: string): Promise<string> {
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() })
  const terminal = createInterface({ input: process.stdin, output: silent, terminal: true })
  process.stderr.write(question)
  try {
    return await terminal.question('')
  } finally {
    terminal.close()
    process.stderr.write('\n')
  }
}
