/**
 * What the leader knows of one peer's log, and how much it has sent ahead of the answers (§5.3; dissertation §10.2.1).
 *
 * probe: the peer's log end is unknown, so one append at a time feels for it. replicate: the logs are known to meet at
 * matchIndex, so appends are sent one after another, up to a window in bytes (trap 13). install: the peer needs entries that the
 * log has forgotten, so it is offered a checkpoint, and nothing else is sent (§7).
 *
 * Never: sends. leader.ts asks here whether it may.
 */
import { invariant } from './invariant.ts'
import type { Member } from './membership.ts'
import type { LogIndex } from './types.ts'

/** Beyond so many unanswered appends, entries are gathered into larger ones, however small they are (trap 13). */
const INFLIGHT_APPENDS_MAX = 256

export type PeerMode = 'probe' | 'replicate' | 'install'

/**
 * 1. matchIndex < nextIndex, and matchIndex never falls within a term, but when the peer falls into doubt.
 * 2. inflightBytes is the sum over the unanswered appends, whose last indexes rise.
 */
export class Progress {
  readonly member: Member
  mode: PeerMode = 'probe'
  /** Up to here the peer's synced log equals the leader's. */
  matchIndex: LogIndex = 0
  /** The next entry to send. */
  nextIndex: LogIndex
  /** In probe mode: the one append is under way; answered by its response or given up at the next heartbeat's. */
  probeSent = false
  /** The driver is reading entries for this peer; nothing is sent meanwhile, so that the order stays. */
  loading = false
  /** The commit index that the last append or heartbeat told. */
  commitTold: LogIndex = 0
  /** The leader's tick count when this peer was last heard of in this term (CheckQuorum). */
  heardTick: number
  /** The highest ReadIndex round that this peer has confirmed. */
  confirmedRound = 0
  /** The doubt that the peer has told in this term; 0: none. Rises with each. See doubt.ts for this and the next two. */
  doubt = 0
  /** Whether its answers count for commits, the lease and reads. */
  counts = true
  /** While in doubt: holding this entry, when it is committed, proves the peer. */
  provingIndex: LogIndex = 0
  /** The leader's tick count at which a peer that was removed gets nothing any more; Infinity for members. */
  farewellTick = Number.POSITIVE_INFINITY
  /** In install mode: an entry that the leader's disk does not give any more, though its log reaches back to it; else 0. */
  unreadableIndex: LogIndex = 0
  /** In install mode: the leader's tick count at the last offer. */
  #offeredTick = Number.NEGATIVE_INFINITY
  readonly #inflight: { readonly lastIndex: LogIndex; readonly bytes: number }[] = []
  #inflightBytes = 0
  readonly #inflightBytesMax: number

  constructor(member: Member, nextIndex: LogIndex, heardTick: number, inflightBytesMax: number) {
    this.member = member
    this.nextIndex = nextIndex
    this.heardTick = heardTick
    this.#inflightBytesMax = inflightBytesMax
  }

  get inflightBytes(): number {
    return this.#inflightBytes
  }

  /** Whether entries may be sent now. A window that is not full takes one more append, whatever its size. */
  get maySend(): boolean {
    if (this.loading) return false
    if (this.mode === 'install') return false
    if (this.mode === 'probe') return !this.probeSent
    return this.#inflightBytes < this.#inflightBytesMax && this.#inflight.length < INFLIGHT_APPENDS_MAX
  }

  /** An append that ends at `lastIndex` was sent. */
  sent(lastIndex: LogIndex, bytes: number): void {
    if (this.mode === 'probe') {
      this.probeSent = true
      return
    }
    if (bytes === 0) return
    invariant(lastIndex >= this.nextIndex, () => `invariant 2: sent ${lastIndex} again, next is ${this.nextIndex}`)
    this.nextIndex = lastIndex + 1
    this.#inflight.push({ lastIndex, bytes })
    this.#inflightBytes += bytes
  }

  /** The peer lacks what the leader's log has forgotten. */
  install(): void {
    if (this.mode !== 'install') this.#enter('install')
  }

  /** The peer needs an entry that the leader could not read: only a checkpoint at or behind it helps. */
  lack(index: LogIndex): void {
    this.install()
    this.unreadableIndex = index
  }

  /** In install mode, whether a checkpoint may be offered now: `pauseTicks` after the last time. If so it counts as done. */
  takeOffer(tick: number, pauseTicks: number): boolean {
    if (tick - this.#offeredTick < pauseTicks) return false
    this.#offeredTick = tick
    return true
  }

  /** The peer holds `index` and all before it. The leader's log begins behind `baseIndex`. True if that is news to the leader. */
  accepted(index: LogIndex, baseIndex: LogIndex): boolean {
    const news = index > this.matchIndex
    if (news) this.matchIndex = index
    this.nextIndex = Math.max(this.nextIndex, this.matchIndex + 1)
    // An old answer, which tells less than is known or than is needed, ends neither a probe nor an install.
    if (this.mode === 'replicate') this.#free(index)
    else if (index >= (this.mode === 'probe' ? this.matchIndex : this.#neededIndex(baseIndex))) this.#enter('replicate')
    return news
  }

  /**
   * The peer refused an append that followed `refusedIndex`; `proposedNext` is where its hint says to go on. False if the
   * answer is an old one that later events have overtaken, or if the leader's log begins only behind what it proposes.
   */
  refused(refusedIndex: LogIndex, proposedNext: LogIndex, baseIndex: LogIndex): boolean {
    if (refusedIndex <= this.matchIndex) return false
    if (this.mode === 'install') {
      if (proposedNext <= this.#neededIndex(baseIndex)) return false
      this.#enter('probe')
      this.nextIndex = Math.max(this.nextIndex, proposedNext)
      return true
    }
    if (this.mode === 'replicate') {
      this.restart()
      return true
    }
    if (refusedIndex !== this.nextIndex - 1) return false
    this.nextIndex = Math.max(this.matchIndex + 1, Math.min(refusedIndex, proposedNext))
    this.probeSent = false
    return true
  }

  /** Whatever was under way may be lost: begin again, after the last known match, or where nothing is known yet. */
  restart(): void {
    if (this.mode === 'replicate') this.#enter('probe')
    this.probeSent = false
    this.#offeredTick = Number.NEGATIVE_INFINITY
  }

  /** The peer may have lost what it was known to hold: its log's end is unknown again, and is felt for below `provingIndex`. */
  enterDoubt(doubt: number, provingIndex: LogIndex, counts: boolean): void {
    invariant(doubt > this.doubt, () => `doubt ${doubt} after ${this.doubt}`)
    this.doubt = doubt
    this.counts = counts
    this.provingIndex = provingIndex
    this.matchIndex = 0
    this.confirmedRound = 0
    this.#enter('probe')
    this.nextIndex = provingIndex
  }

  /** What the peer must hold before entries can follow. */
  #neededIndex(baseIndex: LogIndex): LogIndex {
    return Math.max(baseIndex, this.unreadableIndex)
  }

  #enter(mode: PeerMode): void {
    this.mode = mode
    this.unreadableIndex = 0
    this.probeSent = false
    this.nextIndex = this.matchIndex + 1
    this.#offeredTick = Number.NEGATIVE_INFINITY
    this.#inflight.length = 0
    this.#inflightBytes = 0
  }

  #free(index: LogIndex): void {
    while (this.#inflight.length > 0 && this.#inflight[0]!.lastIndex <= index) {
      this.#inflightBytes -= this.#inflight.shift()!.bytes
    }
  }
}
