import { execFileSync, spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'

/** Child processes: all of them end with the bench, however it ends. What Linux tells of them is in /proc. */

const running = new Set()

process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

export function start(command, args, options = {}) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options })
  running.add(child)
  child.ended = new Promise((resolve, reject) => {
    child.on('error', reject)
    // Not before its pipes are empty.
    child.on('close', code => {
      running.delete(child)
      resolve(code)
    })
  })
  child.ended.catch(() => running.delete(child))
  return child
}

/** Runs a program to its end and gives what it printed. Rejects if it fails. */
export async function run(command, args, options = {}) {
  const child = start(command, args, options)
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr']) {
    child[name]?.setEncoding('utf8').on('data', text => {
      output[name] += text
    })
  }
  const code = await child.ended
  if (code !== 0) throw new Error(`${command} ended with ${code}: ${output.stderr}${output.stdout}`)
  return output.stdout
}

/** Runs a module of the bench in a process of its own; what it prints is the JSON answer. */
export async function runModule(name, task) {
  const path = new URL(name, import.meta.url).pathname
  return JSON.parse(await run(process.execPath, [path, JSON.stringify(task)]))
}

export async function stop(child, signal = 'SIGTERM') {
  child.kill(signal)
  await child.ended
}

export function findProgram(name) {
  // nginx is where only root's PATH leads.
  const env = { ...process.env, PATH: `${process.env.PATH}:/usr/local/sbin:/usr/sbin:/sbin:/opt/local/sbin` }
  try {
    return execFileSync('sh', ['-c', `command -v ${name}`], { env, encoding: 'utf8' }).trim()
  } catch {
    return undefined
  }
}

export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}

const TICKS_PER_SECOND = 100

/** The fields of /proc/PID/stat from the third on: the second is a name that may have blanks in it. */
function statOf(pid) {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  return text.slice(text.lastIndexOf(')') + 2).split(' ')
}

const parentOf = pid => Number(statOf(pid)[1])

/** Every process that descends from one, itself first. */
export function familyOf(root) {
  const children = new Map()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      const parent = parentOf(name)
      children.set(parent, [...(children.get(parent) ?? []), Number(name)])
    } catch {
      // Gone since the folder was read.
    }
  }
  const family = [root]
  for (const pid of family) family.push(...(children.get(pid) ?? []))
  return family
}

/** Seconds of CPU that a process has used; with `reaped`, also what its ended children had. */
export function cpuSeconds(pid, { reaped = false } = {}) {
  const fields = statOf(pid)
  const [user, system, childrenUser, childrenSystem] = fields.slice(11, 15).map(Number)
  return (user + system + (reaped ? childrenUser + childrenSystem : 0)) / TICKS_PER_SECOND
}

/** Seconds of CPU of a process and all that descend from it. */
export function familyCpuSeconds(root) {
  let seconds = 0
  for (const pid of familyOf(root)) {
    try {
      seconds += cpuSeconds(pid, { reaped: true })
    } catch {
      // It has ended; its parent has its seconds from now on.
    }
  }
  return seconds
}

/** Seconds of CPU that the whole machine has used, hypervisor's theft included. */
export function machineCpuSeconds() {
  const line = readFileSync('/proc/stat', 'latin1').split('\n')[0]
  const [user, nice, system, , , irq, softIrq, stolen] = line.split(/\s+/).slice(1).map(Number)
  return (user + nice + system + irq + softIrq + stolen) / TICKS_PER_SECOND
}

/** Bytes of memory that a process has at this moment. */
export function residentBytes(pid) {
  const line = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))
  return line ? Number(line[1]) * 1024 : 0
}
