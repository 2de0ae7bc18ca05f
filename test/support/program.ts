import { execFile } from 'node:child_process'
import { PATIENCE } from './patience.ts'
import { PROGRAM } from './server.ts'

export interface Ended {
  code: number
  stdout: string
  stderr: string
}

/** Runs the built program with these arguments until it ends. */
export function runProgram(...args: string[]): Promise<Ended> {
  return new Promise(resolve => {
    execFile(process.execPath, [PROGRAM, ...args], { timeout: PATIENCE }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code ?? -1) : 0, stdout, stderr })
    })
  })
}
