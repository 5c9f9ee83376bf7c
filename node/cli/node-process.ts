/**
 * One `meshmq start` as a child of `meshmq dev`: its output with its name before each line, and its end.
 *
 * The child is in a process group of its own, so that Ctrl-C in the terminal reaches it once, through us; the IPC channel
 * tells it when we are gone without having said so.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

/** A graceful stop hands leadership over and drains; what takes longer hangs. */
const STOP_TIMEOUT_MS = 15_000

export class NodeProcess {
  readonly id: string
  readonly ended: Promise<string>
  /** How it ended, for people; undefined while it runs. */
  ending: string | undefined
  readonly #child: ChildProcess

  constructor(id: string, args: readonly string[]) {
    this.id = id
    this.#child = spawn(process.execPath, [...process.execArgv, process.argv[1]!, ...args], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      detached: true,
    })
    createInterface(this.#child.stdout!).on('line', (line) => process.stdout.write(`${id} | ${line}\n`))
    createInterface(this.#child.stderr!).on('line', (line) => process.stderr.write(`${id} | ${line}\n`))
    this.ended = new Promise((resolve) => {
      const end = (ending: string) => {
        this.ending ??= ending
        resolve(this.ending)
      }
      this.#child.once('error', (error) => end(`could not be started (${error.message})`))
      // 'close' comes after the last line of output, 'exit' may come before it.
      this.#child.once('close', (code, signal) =>
        end(signal === null ? `ended with exit code ${code}` : `ended by ${signal}`),
      )
    })
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /** Resolves when the process is gone: with its id if it had to be killed. */
  async stop(): Promise<string | undefined> {
    if (this.ending !== undefined) return undefined
    let killed = false
    const timer = setTimeout(() => {
      killed = true
      this.#child.kill('SIGKILL')
    }, STOP_TIMEOUT_MS)
    this.#child.kill('SIGTERM')
    await this.ended
    clearTimeout(timer)
    return killed ? this.id : undefined
  }
}
