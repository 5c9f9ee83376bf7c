/**
 * The leader's side of idea 1: gathers the frames that came in one turn of the event loop, from its own gateway and from the
 * other nodes, into entries, stamps them and proposes them.
 *
 * The machine's time is kept here while this node leads: it starts at what the machine had reached when this leader's
 * own no-op was applied, and goes on with the monotonic clock, so that neither an outage nor a wall clock expires a session.
 *
 * Never: retries. What is dropped when leadership ends is sent again by the routers that hold it (router.ts).
 */
import type { Clock } from '../raft/index.ts'
import { FrameKind } from '../wire/frame.ts'
import { limits } from '../wire/limits.ts'
import { encodeEntry, encodeNodeCommand, refusePublishFrame } from './queue/index.ts'

export interface ProposerOptions {
  readonly clock: Clock
  readonly wallNow: () => number
  readonly group: number
  /** False: the log takes nothing now (its uncommitted bytes are at their bound, or leadership is in doubt). */
  readonly propose: (data: Uint8Array) => boolean
  /** The disk is nearly full: publishes go into the log without their bodies, as refused ones. */
  readonly refusesPublishes: () => boolean
}

/** Frames that wait for the log, bytes: what several nodes' routers hold by default. */
const WAITING_BYTES_MAX = 256 * 1024 * 1024

/** What the log refused is proposed again after this pause at the latest, milliseconds: a hand-over that fails ends without an apply. */
const RETRY_PAUSE_MS = 100

/** The shortest pause before an `advance`, milliseconds: whatever clients ask for, timers cost at most 100 entries a second. */
const TIMER_PAUSE_MS_MIN = 10

export class Proposer {
  readonly #options: ProposerOptions
  #frames: Uint8Array[] = []
  #bytes = 0
  #scheduled = false
  /** Set while this node leads and has applied its no-op: machine time was `timeMs` at monotonic `sinceMs`. */
  #reign: { readonly timeMs: number; readonly sinceMs: number } | undefined
  #wallMs = 0
  #cancelTimer: (() => void) | undefined
  #cancelRetry: (() => void) | undefined
  /** Machine time that the armed timer waits for. */
  #dueMs = Number.POSITIVE_INFINITY

  constructor(options: ProposerOptions) {
    this.#options = options
  }

  /** This node leads and its machine has caught up: from now on frames become entries. */
  begin(machine: { readonly timeMs: number; readonly wallMs: number }): void {
    this.#reign = { timeMs: machine.timeMs, sinceMs: this.#options.clock.now() }
    this.#wallMs = machine.wallMs
    this.#schedule()
  }

  /** This node does not lead (any more). */
  end(): void {
    this.#reign = undefined
    this.#frames = []
    this.#bytes = 0
    this.#cancelRetry?.()
    this.#cancelRetry = undefined
    this.#disarm()
  }

  /** Takes a frame while this node leads; before `begin` it waits. Dropped when too much waits: its router sends it again. */
  push(frame: Uint8Array): void {
    if (this.#bytes + frame.length > WAITING_BYTES_MAX) return
    const admitted = this.#options.refusesPublishes() ? withoutBodies(frame) : frame
    this.#frames.push(admitted)
    this.#bytes += admitted.length
    this.#schedule()
  }

  /** The log may have room again: entries were committed. */
  retry(): void {
    if (this.#frames.length > 0) this.#schedule()
  }

  /** Lets the machine's timers run: `dueMs` is the machine time of the earliest. Called after every apply, so it is cheap. */
  watchTimers(dueMs: number | undefined): void {
    if (this.#reign === undefined || dueMs === this.#dueMs) return
    if (dueMs === undefined) return this.#disarm()
    if (this.#cancelTimer !== undefined && dueMs > this.#dueMs) return
    this.#disarm()
    this.#dueMs = dueMs
    const pauseMs = Math.max(TIMER_PAUSE_MS_MIN, dueMs - this.#timeMs(this.#reign))
    this.#cancelTimer = this.#options.clock.setTimer(pauseMs, () => {
      this.#disarm()
      this.push(encodeNodeCommand(this.#options.group, { type: 'advance' }))
    })
  }

  #disarm(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    this.#dueMs = Number.POSITIVE_INFINITY
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#options.clock.defer(() => {
      this.#scheduled = false
      this.#flush()
    })
  }

  #flush(): void {
    if (this.#reign === undefined) return
    let from = 0
    while (from < this.#frames.length) {
      let to = from
      let bytes = 0
      do bytes += this.#frames[to++]!.length
      while (
        to < this.#frames.length &&
        to - from < limits.entryFramesMax &&
        bytes + this.#frames[to]!.length <= limits.frameBytesTarget
      )
      this.#wallMs = Math.max(this.#wallMs, this.#options.wallNow())
      const stamp = { timeMs: this.#timeMs(this.#reign), wallMs: this.#wallMs }
      if (!this.#options.propose(encodeEntry(stamp, this.#frames.slice(from, to)))) break
      from = to
      this.#bytes -= bytes
    }
    this.#frames.splice(0, from)
    if (this.#frames.length > 0) this.#retryLater()
  }

  #retryLater(): void {
    this.#cancelRetry ??= this.#options.clock.setTimer(RETRY_PAUSE_MS, () => {
      this.#cancelRetry = undefined
      this.retry()
    })
  }

  #timeMs(reign: { readonly timeMs: number; readonly sinceMs: number }): number {
    return reign.timeMs + (this.#options.clock.now() - reign.sinceMs)
  }
}

/**
 * Only what makes the disk fuller is refused: settles, detaches, purges and deletes make room. Other control commands are let through
 * too; they are small, and the machine's limits bound what they make.
 */
function withoutBodies(frame: Uint8Array): Uint8Array {
  return frame[0] === FrameKind.publish ? refusePublishFrame(frame, 'DiskFull') : frame
}
