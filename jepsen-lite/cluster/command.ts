/** Runs the CLI as users do, in a process of its own. */
import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'

/** The CLI has deadlines of its own; one that takes longer hangs. */
const COMMAND_MS_MAX = 90_000

export interface CommandResult {
  /** Of a command that had to be killed: -1. */
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export async function runCommand(
  bin: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<CommandResult> {
  const child = spawn(process.execPath, [bin, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
    timeout: COMMAND_MS_MAX,
    killSignal: 'SIGKILL',
  })
  const ended = new Promise<number>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve(code ?? -1))
  })
  const [code, stdout, stderr] = await Promise.all([ended, text(child.stdout), text(child.stderr)])
  return { code, stdout, stderr }
}
