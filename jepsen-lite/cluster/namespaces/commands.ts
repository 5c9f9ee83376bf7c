/** The system's own tools, told what to do on their standard input: `ip -batch -`, `nft -f -`. All of them need root. */
import { execFile, execFileSync } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Where iproute2 keeps the names of namespaces. */
const NAMES = '/var/run/netns'

/** None of these commands waits for anything: one that takes so long hangs. */
const COMMAND_MS_MAX = 20_000

/** Resolves with the standard output. Rejects with what the command complained of. */
export async function tell(command: readonly string[], input = ''): Promise<string> {
  const [program, ...args] = command as [string, ...string[]]
  const running = run(program, args, { timeout: COMMAND_MS_MAX })
  // It may refuse before it has read everything; how it ended says that better.
  running.child.stdin?.once('error', () => {})
  running.child.stdin?.end(input)
  const { stdout } = await running
  return stdout
}

/** The same at once, for a process that is about to end. Whatever fails is left. */
export function tellAtOnce(command: readonly string[], input: string): void {
  const [program, ...args] = command as [string, ...string[]]
  try {
    execFileSync(program, args, { input, stdio: ['pipe', 'ignore', 'ignore'], timeout: COMMAND_MS_MAX })
  } catch {
    // What is left is swept by the next run.
  }
}

/** Becomes the command that follows it, in the namespace of that name: no process stands in between. */
export function inside(namespace: string): readonly string[] {
  return ['nsenter', `--net=${NAMES}/${namespace}`, '--']
}
