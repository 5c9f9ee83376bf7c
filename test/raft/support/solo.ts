/**
 * One core alone, with a disk that the test syncs: for rules that tell how a single member answers a single message.
 */

import type { Entry, HardState, LogIndex, NodeId, PersistToken, Ready, Term } from '../../../raft/index.ts'
import { EntryType, encodeMembership, type Message, Raft, type RaftOptions } from '../../../raft/index.ts'
import { appendCutting, type Base, NO_BASE, recoveredLog, textEntry } from './entries.ts'

export const TRIO = ['n1', 'n2', 'n3'] as const

/** A log whose entry 1 founds the cluster of `ids`, all of incarnation `id.1`; the rest are commands of these terms. */
export function foundedLog(ids: readonly NodeId[], terms: readonly Term[]): Entry[] {
  const voters = ids.map((id) => ({ id, incarnation: `${id}.1` }))
  const data = encodeMembership({ clusterId: 'cluster', voters, votersOutgoing: [], learners: [] })
  return terms.map((term, at) => {
    return at === 0
      ? { index: 1, term, type: EntryType.membership, data }
      : textEntry(at + 1, term, `${at + 1}@${term}`)
  })
}

/** The same founded log for each of `ids`, with a hard state of its last term. */
export function logsOf(terms: readonly number[], ids: readonly string[] = TRIO) {
  const hardState = { term: terms.at(-1) ?? 0, vote: '', commit: 0 }
  return Object.fromEntries(ids.map((id) => [id, { log: foundedLog(ids, terms), hardState }]))
}

type Doubtless = 'doubt' | 'trusted' | 'asked'
type Body<M> = M extends Message
  ? Omit<M, 'from' | 'to' | 'fromIncarnation' | 'toIncarnation' | Doubtless> & Partial<Pick<M, Doubtless & keyof M>>
  : never
/** A message as tests write it: from somebody without doubts, unless it says otherwise. */
export type Unsent = Body<Message>

/** Puts an unsent message under way. */
export function sentBy(from: NodeId, to: NodeId, body: Unsent): Message {
  const envelope = { from, to, fromIncarnation: `${from}.1`, toIncarnation: `${to}.1` }
  if (body.type === 'heartbeat') return { trusted: 0, ...envelope, ...body }
  if (body.type === 'voteResponse') return { doubt: 0, asked: 0, ...envelope, ...body }
  if (body.type === 'voteRequest' || body.type === 'appendResponse' || body.type === 'heartbeatResponse') {
    return { doubt: 0, ...envelope, ...body }
  }
  return { ...envelope, ...body }
}

export interface SoloOptions {
  readonly id?: NodeId
  readonly ids?: readonly NodeId[]
  /** Terms of the log; empty for a member of a cluster that is not founded. */
  readonly terms?: readonly Term[]
  /** The log has forgotten the entries up to this one, which the checkpoint reflects. */
  readonly base?: LogIndex
  /** The entry that the state machine's checkpoint reflects last; that of the base if nothing is said. */
  readonly checkpoint?: LogIndex
  readonly doubt?: number
  readonly founded?: boolean
  readonly hardState?: Partial<HardState>
  readonly tuning?: RaftOptions['tuning']
  /** What the dice say, always. */
  readonly random?: number
}

export class Solo {
  readonly core: Raft
  readonly ids: readonly NodeId[]
  readonly id: NodeId
  /** Sent at once, in order. */
  readonly sent: Message[] = []
  /** Sent after syncs. */
  readonly sentAfterSync: Message[] = []
  readonly readies: Ready[] = []
  readonly committed: LogIndex[] = []
  base: Base
  /** What follows `base`. */
  readonly log: Entry[]
  #waiting: { readonly token: PersistToken | undefined; readonly messages: readonly Message[] }[] = []

  constructor(options: SoloOptions = {}) {
    this.ids = options.ids ?? TRIO
    this.id = options.id ?? 'n1'
    const whole = foundedLog(this.ids, options.terms ?? [1])
    const at = options.base ?? 0
    this.base = at === 0 ? NO_BASE : { index: at, term: whole[at - 1]!.term }
    this.log = whole.slice(at)
    const term = whole.at(-1)?.term ?? 0
    const marked = whole[(options.checkpoint ?? at) - 1]
    this.core = new Raft({
      id: this.id,
      incarnation: `${this.id}.1`,
      memberIds: this.ids,
      recovered: recoveredLog({ term, vote: '', commit: 0, ...options.hardState }, this.log, this.base),
      ...(marked && { checkpoint: { index: marked.index, term: marked.term, membership: whole[0]! } }),
      doubt: options.doubt ?? 0,
      founded: options.founded ?? false,
      random: () => options.random ?? 0,
      mintClusterId: () => 'minted',
      tuning: options.tuning ?? {},
    })
    this.carryOut()
  }

  get status() {
    return this.core.status()
  }

  /** Takes all readies; what they have to say after a sync waits for sync(). */
  carryOut(): void {
    while (this.core.hasReady()) {
      const ready = this.core.ready()
      this.readies.push(ready)
      this.sent.push(...ready.messages)
      if (ready.reset !== undefined) {
        this.base = ready.reset
        this.log.length = 0
      }
      appendCutting(this.log, ready.entries, this.base)
      if (ready.committed !== undefined) {
        this.committed.push(ready.committed.last)
        this.core.applied(ready.committed.last)
      }
      this.#waiting.push({ token: ready.token, messages: ready.messagesAfterSync })
    }
  }

  /** Completes all writes, and what follows from that. */
  sync(): void {
    this.carryOut()
    while (this.#waiting.length > 0) {
      const { token, messages } = this.#waiting.shift()!
      this.sentAfterSync.push(...messages)
      if (token !== undefined) this.core.persisted(token)
      this.carryOut()
    }
  }

  /** Delivers a message of the member `from` and syncs; returns what was answered, early or late. */
  hears(from: NodeId, body: Unsent): Message[] {
    this.take()
    this.core.step(sentBy(from, this.id, body))
    this.sync()
    return this.take()
  }

  /** Delivers without syncing; returns what was sent at once. */
  hearsUnsynced(from: NodeId, body: Unsent): Message[] {
    this.take()
    this.core.step(sentBy(from, this.id, body))
    this.carryOut()
    return this.take()
  }

  /** What was sent since the last call. */
  take(): Message[] {
    return [...this.sent.splice(0), ...this.sentAfterSync.splice(0)]
  }

  ticks(count: number): Message[] {
    this.take()
    for (let i = 0; i < count; i++) {
      this.core.tick()
      this.sync()
    }
    return this.take()
  }

  /** Gets this member elected by all others; its own writes are synced. */
  win(): void {
    while (this.status.role === 'follower') this.ticks(1)
    const { term } = this.status
    const vote = { type: 'voteResponse', granted: true } as const
    for (const from of this.others) this.hears(from, { ...vote, pre: true, term: term + 1 })
    for (const from of this.others) this.hears(from, { ...vote, pre: false, term: term + 1 })
    if (this.status.role !== 'leader') throw new Error('the election was not won')
  }

  get others(): NodeId[] {
    return this.ids.filter((id) => id !== this.id)
  }

  propose(text: string) {
    return this.core.propose(new TextEncoder().encode(text))
  }

  /** The peer says that it holds everything up to `index`. */
  accepts(from: NodeId, index: LogIndex): Message[] {
    const { term } = this.status
    return this.hears(from, { type: 'appendResponse', term, success: true, index, hintIndex: 0, hintTerm: 0 })
  }
}

/** Those of one type, narrowed. */
export function ofType<T extends Message['type']>(
  messages: readonly Message[],
  type: T,
): Extract<Message, { type: T }>[] {
  return messages.filter((message): message is Extract<Message, { type: T }> => message.type === type)
}

// ---- messages, as short as a test likes them

export const appendOf = (
  term: number,
  prevIndex: number,
  prevTerm: number,
  terms: readonly number[] = [],
  commit = 0,
) => ({
  type: 'appendRequest' as const,
  term,
  prevIndex,
  prevTerm,
  entries: terms.map((each, at) => textEntry(prevIndex + 1 + at, each)),
  commit,
})

export const voteRequest = (term: number, lastIndex: number, lastTerm: number, pre = false) => ({
  type: 'voteRequest' as const,
  term,
  pre,
  lastIndex,
  lastTerm,
})

export const vote = (term: number, granted: boolean, pre = false) => ({
  type: 'voteResponse' as const,
  term,
  pre,
  granted,
})

export const heartbeat = (term: number, commit = 0, round = 0) => ({ type: 'heartbeat' as const, term, commit, round })

/** Elected by all, with nothing but its own disk knowing of its first entry. */
export function leaderOf(
  terms: readonly number[] = [1],
  options: { ids?: readonly string[]; tuning?: object } = {},
): Solo {
  const solo = new Solo({ terms, ...options })
  solo.win()
  solo.take()
  return solo
}
