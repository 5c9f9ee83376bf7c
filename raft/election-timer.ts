/**
 * When to campaign: randomised so that members rarely tie (§5.2), short after the leader's process was seen to die.
 *
 * Never: runs by itself. It counts the ticks it is given, and draws from the randomness it is given.
 */

/** How often a member that saw its leader's process die tries again soon, before it waits as for any other election. */
const FAST_RETRIES_MAX = 3

interface TickRange {
  readonly least: number
  readonly count: number
}

/** 1 to 5 ticks before the first fast campaign. */
const FAST_PAUSE: TickRange = { least: 1, count: 5 }

/** 5 to 14 before the next ones: there was a tie, or the others did not know yet. */
const FAST_RETRY: TickRange = { least: 5, count: 10 }

export class ElectionTimer {
  /** Ticks since a leader was heard, a vote given or a campaign begun. */
  elapsedTicks = 0
  #timeoutTicks: number
  #fastRetries = 0
  readonly #ordinary: TickRange
  readonly #random: () => number

  constructor(electionTicks: number, random: () => number) {
    this.#ordinary = { least: electionTicks, count: electionTicks }
    this.#random = random
    this.#timeoutTicks = this.#draw(this.#ordinary)
  }

  /** True when it is time to campaign. */
  tick(): boolean {
    this.elapsedTicks++
    return this.elapsedTicks >= this.#timeoutTicks
  }

  /** Somebody leads, or is about to. */
  calm(): void {
    this.#fastRetries = 0
    this.#start(this.#ordinary)
  }

  /** The leader's process is gone. The pause keeps the others, who see it too, from campaigning at the same moment. */
  hasten(): void {
    this.#fastRetries = FAST_RETRIES_MAX
    this.#start(FAST_PAUSE)
  }

  /** A campaign begins: when to give it up and begin another. */
  campaign(): void {
    if (this.#fastRetries === 0) {
      this.#start(this.#ordinary)
      return
    }
    this.#fastRetries--
    this.#start(FAST_RETRY)
  }

  /** Campaigns with the next tick: there is nobody who could be disturbed. */
  expire(): void {
    this.#timeoutTicks = 0
  }

  #start(range: TickRange): void {
    this.elapsedTicks = 0
    this.#timeoutTicks = this.#draw(range)
  }

  #draw(range: TickRange): number {
    return range.least + Math.floor(this.#random() * range.count)
  }
}
