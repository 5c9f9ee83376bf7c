/** Runs the command line as users do: a process of its own, on the sources. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const entry = fileURLToPath(new URL('../../node/cli/main.ts', import.meta.url))

export interface CliResult {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export class CliProcess {
  readonly child: ChildProcess
  stdout = ''
  stderr = ''

  constructor(args: readonly string[], environment: Readonly<Record<string, string>> = {}) {
    this.child = spawn(process.execPath, ['--import', 'tsx', entry, ...args], {
      env: { PATH: process.env.PATH, HOME: process.env.HOME, ...environment },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    this.child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text
    })
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text
    })
  }

  /** Resolves when standard output matches; rejects when the process ends before. */
  async printed(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = pattern.exec(this.stdout)
      if (found !== null) return found
      if (this.child.exitCode !== null || this.child.signalCode !== null) {
        throw new Error(`ended without printing ${pattern}: ${this.stdout}${this.stderr}`)
      }
      const listening = new AbortController()
      const { signal } = listening
      await Promise.race([once(this.child.stdout!, 'data', { signal }), once(this.child, 'close', { signal })])
      listening.abort()
    }
  }

  async ended(): Promise<CliResult> {
    if (this.child.exitCode === null && this.child.signalCode === null) await once(this.child, 'close')
    return { code: this.child.exitCode, stdout: this.stdout, stderr: this.stderr }
  }
}

export function runCli(
  args: readonly string[],
  options: { input?: string; environment?: Readonly<Record<string, string>> } = {},
): Promise<CliResult> {
  const process = new CliProcess(args, options.environment)
  process.child.stdin!.end(options.input ?? '')
  return process.ended()
}
