/**
 * Tells how a run goes on while it does: on a terminal one line that changes, elsewhere a line every ten seconds.
 */
export interface ProgressState {
  readonly phase: string
  readonly secondsLeft: number
  /** Operations that are complete. */
  readonly operations: number
  /** Of those, how many succeeded. */
  readonly ok: number
  /** Names of the faults that hold. */
  readonly faults: readonly string[]
  readonly leader: string | undefined
  /** Terms that were begun since the run began. */
  readonly elections: number
}

export interface Terminal {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

const TTY_MS = 250
const PLAIN_MS = 10_000
const COLUMNS = 100

export function progressLine({ phase, secondsLeft, operations, ok, faults, leader, elections }: ProgressState): string {
  const parts = [
    phase === 'faults' ? `${Math.ceil(secondsLeft)} s left` : phase,
    `${operations} operations (${operations - ok} not ok)`,
    `leader ${leader ?? 'none'}`,
    `${elections} elections`,
    faults.length === 0 ? 'quiet' : faults.join(' + '),
  ]
  return parts.join(', ')
}

export class Progress {
  readonly #terminal: Terminal
  readonly #state: () => ProgressState
  #timer: NodeJS.Timeout | undefined
  #lastPhase = ''

  constructor(terminal: Terminal, state: () => ProgressState) {
    this.#terminal = terminal
    this.#state = state
  }

  start(): void {
    this.#timer = setInterval(() => this.#tell(), this.#terminal.isTTY === true ? TTY_MS : PLAIN_MS)
  }

  /** A new phase is worth a line of its own. */
  phase(): void {
    if (this.#timer !== undefined) this.#tell()
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
    if (this.#terminal.isTTY === true) this.#terminal.write('\r\x1b[K')
  }

  #tell(): void {
    const state = this.#state()
    const line = progressLine(state)
    if (this.#terminal.isTTY !== true) return void this.#terminal.write(`${line}\n`)
    // What a phase came to stays on the screen.
    const before = state.phase === this.#lastPhase || this.#lastPhase === '' ? '' : '\n'
    this.#lastPhase = state.phase
    const columns = (this.#terminal.columns ?? COLUMNS) - 1
    this.#terminal.write(`${before}\r\x1b[K${line.slice(0, columns)}`)
  }
}
