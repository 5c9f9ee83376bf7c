/**
 * Who belongs to the cluster: a value, its bytes in a log entry, and the history that the log holds of it (§6).
 *
 * A member is a pair (id, incarnation): an emptied directory under a known id is somebody else, whose forgotten promises
 * bind nobody (trap 19). The newest membership of the log is in force as soon as it is held, committed or not, and the
 * one before it comes back when the log is cut (trap 18).
 *
 * Never: changes a membership (membership-change.ts).
 */
import { invariant } from './invariant.ts'
import type { Electorate } from './quorum.ts'
import type { Entry, Incarnation, LogIndex, NodeId } from './types.ts'
import { EntryType } from './types.ts'

export interface Member {
  readonly id: NodeId
  readonly incarnation: Incarnation
}

export interface Membership extends Electorate<Member> {
  /** Minted once, by the leader that wrote entry 1. */
  readonly clusterId: string
  /** Get the log, answer vote requests (trap 17), never count and never campaign. */
  readonly learners: readonly Member[]
}

/** Everybody that gets the log. An id that is both voter and outgoing voter appears twice. */
export function allMembers(membership: Membership): readonly Member[] {
  return [...membership.voters, ...membership.votersOutgoing, ...membership.learners]
}

export function isSameMember(one: Member, other: Member): boolean {
  return one.id === other.id && one.incarnation === other.incarnation
}

export function isAmong(members: readonly Member[], member: Member): boolean {
  return members.some((other) => isSameMember(member, other))
}

/** Whether exactly this incarnation counts in elections and commits. */
export function isVoter(membership: Membership, member: Member): boolean {
  return isAmong(membership.voters, member) || isAmong(membership.votersOutgoing, member)
}

/** Whether this id is listed, but under other incarnations alone (trap 19). */
export function isImpostor(membership: Membership, { id, incarnation }: Member): boolean {
  const known = allMembers(membership).filter((member) => member.id === id)
  return known.length > 0 && !known.some((member) => member.incarnation === incarnation)
}

/** On disk and on the wire: change it together with a reader of the former one. */
const FORMAT_VERSION = 1

/** Version u8, cluster id, then three lists (u16 count, then id and incarnation); texts are u16 length and UTF-8. */
export function encodeMembership(membership: Membership): Uint8Array {
  const lists = [membership.voters, membership.votersOutgoing, membership.learners]
  const bytes: number[] = [FORMAT_VERSION]
  putText(bytes, membership.clusterId)
  for (const list of lists) {
    putUint16(bytes, list.length)
    for (const member of list) {
      putText(bytes, member.id)
      putText(bytes, member.incarnation)
    }
  }
  return Uint8Array.from(bytes)
}

function putUint16(bytes: number[], value: number): void {
  invariant(value <= 0xffff, () => `membership: ${value} does not fit in 16 bits`)
  bytes.push(value & 0xff, value >> 8)
}

function putText(bytes: number[], text: string): void {
  const encoded = new TextEncoder().encode(text)
  putUint16(bytes, encoded.length)
  for (const byte of encoded) bytes.push(byte)
}

/** Throws InvariantError on bytes of another version or shape: the log is checksummed, so they were written wrongly. */
export function decodeMembership(data: Uint8Array): Membership {
  const reader = new Reader(data)
  const version = reader.uint8()
  invariant(version === FORMAT_VERSION, () => `membership: format ${version} is unknown to this program`)
  const clusterId = reader.text()
  const voters = reader.members()
  const votersOutgoing = reader.members()
  const learners = reader.members()
  reader.end()
  invariant(voters.length > 0, 'membership: without voters')
  return { clusterId, voters, votersOutgoing, learners }
}

class Reader {
  readonly #data: Uint8Array
  #at = 0

  constructor(data: Uint8Array) {
    this.#data = data
  }

  #take(length: number): Uint8Array {
    const start = this.#at
    this.#at += length
    invariant(this.#at <= this.#data.length, 'membership: ends too early')
    return this.#data.subarray(start, this.#at)
  }

  uint8(): number {
    return this.#take(1)[0]!
  }

  uint16(): number {
    const bytes = this.#take(2)
    return bytes[0]! | (bytes[1]! << 8)
  }

  text(): string {
    return new TextDecoder().decode(this.#take(this.uint16()))
  }

  members(): Member[] {
    const members: Member[] = []
    for (let left = this.uint16(); left > 0; left--) members.push({ id: this.text(), incarnation: this.text() })
    return members
  }

  end(): void {
    invariant(this.#at === this.#data.length, 'membership: bytes are left over')
  }
}

/**
 * The memberships that the log holds, newest last, and the one that was in force at its base.
 *
 * Invariant 1: indexes rise. Invariant 2: an entry of the log at such an index is of type membership.
 */
export class MembershipHistory {
  readonly #held: { readonly entry: Entry; readonly membership: Membership }[] = []

  /** Undefined until entry 1 is held. */
  get current(): Membership | undefined {
    return this.#held.at(-1)?.membership
  }

  /** The one before the current, if the log still tells. */
  get former(): Membership | undefined {
    return this.#held.at(-2)?.membership
  }

  /** 0 until entry 1 is held. */
  get currentIndex(): LogIndex {
    return this.#held.at(-1)?.entry.index ?? 0
  }

  adopt(entry: Entry): void {
    const newest = this.currentIndex
    invariant(entry.index > newest, () => `invariant 1: membership ${entry.index} after ${newest}`)
    invariant(entry.type === EntryType.membership, () => `invariant 2: entry ${entry.index} is no membership`)
    this.#held.push({ entry, membership: decodeMembership(entry.data) })
  }

  /** The entry of the membership that was in force when the log ended at `index`. */
  entryAt(index: LogIndex): Entry | undefined {
    return this.#held.findLast(({ entry }) => entry.index <= index)?.entry
  }

  /** The log has forgotten all up to `index`: of its memberships the one that was in force there stays. */
  compact(index: LogIndex): void {
    const inForce = this.#held.findLastIndex(({ entry }) => entry.index <= index)
    if (inForce > 0) this.#held.splice(0, inForce)
  }

  /** The log goes on behind a checkpoint, where this one was in force. */
  reset(entry: Entry): void {
    this.#held.length = 0
    this.adopt(entry)
  }

  /** The log was cut at `index`: whatever was adopted from there on never happened (trap 18). True if that was any. */
  truncateFrom(index: LogIndex): boolean {
    const before = this.#held.length
    while (this.currentIndex >= index) this.#held.pop()
    return this.#held.length < before
  }
}
