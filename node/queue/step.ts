/**
 * One entry being applied: where it is in the log, what it may still touch, and the effects that it has had so far. It is handed from
 * function to function and ends with the entry; nothing of it is state.
 */
import { ROUTING_PER_ENTRY_MAX, WORK_PER_ENTRY_MAX } from './constants.ts'
import type { Effect } from './effect.ts'
import { mintId } from './entry.ts'
import type { State } from './state.ts'

export class Step {
  readonly state: State
  readonly index: number
  /** The frame's number in the entry. */
  frame = 0
  readonly effects: Effect[] = []
  /** What continuations and timers may still touch. May go below 0 by one unit. */
  work = WORK_PER_ENTRY_MAX
  /** Ways to queues that publishes may still take. May go below 0 by one run. */
  routing = ROUTING_PER_ENTRY_MAX

  constructor(state: State, index: number) {
    this.state = state
    this.index = index
  }

  /** The id that the current frame mints: one of each kind. */
  mint(): number {
    return mintId(this.index, this.frame)
  }
}
