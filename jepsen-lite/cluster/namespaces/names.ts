/**
 * Names of network namespaces: `meshmq-PID-START-RANDOM-PART`, with the process that made them and the moment at which it began, so that those
 * that nobody will take away any more are known from those of a run that goes on, also when the process id belongs to another one by now.
 */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import process from 'node:process'
import { tell } from './commands.ts'

const NAME = /^(meshmq-(\d+)-(\d+)-[0-9a-f]{6})-\w+$/

/** Position in /proc/PID/stat, counted after the program's name, of the moment at which it began (clock ticks since boot). */
const STARTED = 19

/** What the names of one network begin with, different for each. */
export function newPrefix(): string {
  return `meshmq-${process.pid}-${startOf(process.pid)}-${randomBytes(3).toString('hex')}`
}

export function nameOf(prefix: string, part: string): string {
  return `${prefix}-${part}`
}

/** Takes away what runs left behind that are gone, with the processes that are still in there. Resolves with the names. */
export async function sweep(): Promise<string[]> {
  const stale = (await listNames()).filter(isStale)
  for (const name of stale) {
    for (const pid of (await tell(['ip', 'netns', 'pids', name])).split('\n').filter(Boolean)) kill(Number(pid))
    // Another run may sweep too.
    await tell(['ip', 'netns', 'delete', name]).catch(async (error: unknown) => {
      if ((await listNames()).includes(name)) throw error
    })
  }
  return stale
}

export async function listNames(): Promise<string[]> {
  // `NAME` or `NAME (id: 3)`.
  const lines = (await tell(['ip', 'netns', 'list'])).split('\n').filter(Boolean)
  return lines.map((line) => line.split(' ')[0]!)
}

function isStale(name: string): boolean {
  const [, , pid, start] = NAME.exec(name) ?? []
  return pid !== undefined && startOf(Number(pid)) !== start
}

/** Undefined: there is no such process. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The program's name may hold anything, spaces and parentheses too.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[STARTED]
  } catch {
    return undefined
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended by itself.
  }
}
