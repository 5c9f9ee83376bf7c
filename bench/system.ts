/** What the operating system (Linux) counts: CPU time of processes, idle time of the machine, flushes of the disk. */
import { existsSync, mkdirSync, readFileSync, realpathSync, statfsSync, statSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'

/** Of /proc/PID/stat; fixed by the kernel's interface whatever its own tick. */
const TICKS_PER_SECOND = 100

/** User and system time of the processes so far, seconds; one that is gone counts nothing. */
export function cpuSeconds(pids: readonly number[]): number {
  let ticks = 0
  for (const pid of pids) {
    const file = `/proc/${pid}/stat`
    if (!existsSync(file)) continue
    const stat = readFileSync(file, 'utf8')
    // The name in parentheses may hold spaces; utime to cstime are the 12th to 15th field behind it.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    for (const field of fields.slice(11, 15)) ticks += Number(field)
  }
  return ticks / TICKS_PER_SECOND
}

/** Memory of a process that is in RAM now, bytes. */
export function residentBytes(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(line?.[1] ?? Number.NaN) * 1024
}

export interface MachineTime {
  readonly total: number
  readonly idle: number
}

export function machineTime(): MachineTime {
  const line = readFileSync('/proc/stat', 'utf8').split('\n')[0]!
  const fields = line.trim().split(/\s+/).slice(1, 9).map(Number)
  return { total: fields.reduce((sum, field) => sum + field, 0), idle: fields[3]! + fields[4]! }
}

/** Cache flushes of the disk that holds `directory` so far; NaN where the kernel does not tell. */
export function diskFlushes(directory: string): number {
  const { dev } = statSync(directory)
  // The kernel's encoding of a device number in stat(2).
  const major = Math.floor(dev / 256) % 4096
  const minor = (dev % 256) + 256 * Math.floor(dev / 2 ** 20)
  const link = `/sys/dev/block/${major}:${minor}`
  if (!existsSync(link)) return Number.NaN
  const device = realpathSync(link)
  const disk = existsSync(path.join(device, 'partition')) ? path.dirname(device) : device
  const fields = readFileSync(path.join(disk, 'stat'), 'utf8').trim().split(/\s+/)
  return Number(fields[15] ?? Number.NaN)
}

const memoryFileSystems = new Map([
  [0x01021994, 'tmpfs'],
  [0x858458f6, 'ramfs'],
])

/** Makes the directory. Throws where a sync costs nothing, since the figures would mean nothing. */
export function requireRealDisk(directory: string): void {
  mkdirSync(directory, { recursive: true })
  const name = memoryFileSystems.get(statfsSync(directory).type)
  if (name !== undefined) throw new Error(`${directory} is on ${name}: choose a directory on a disk with --dir`)
}

/** What a figure depends on besides our code. */
export function describeMachine(): Readonly<Record<string, string | number>> {
  const cpus = os.cpus()
  return {
    cpus: cpus.length,
    model: cpus[0]?.model ?? 'unknown',
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    kernel: os.release(),
    node: process.version,
  }
}
