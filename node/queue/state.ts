/**
 * The state of one machine: sessions, queues, consumers, listeners, boots, timers and unfinished work. Everything here is a function
 * of the applied entries alone, but for the two caches, on which no result depends.
 *
 * Maps that are keyed by minted ids are filled in the order of the log, so their own order is that of the ids: iterating
 * one is as deterministic as sorting it, and a restored state that is filled in the order of ids behaves alike (trap 31).
 *
 * Never: behaviour beyond small questions about one object; the rules are in the files named after them.
 */
import type { OutcomeNotice } from '../../wire/session-frames.ts'
import type { Attachment } from './effect.ts'
import { Fifo } from './fifo.ts'
import { MessageHeap } from './message-heap.ts'
import { OpenDeliveries } from './open-deliveries.ts'
import { ReadyMessages } from './ready-messages.ts'
import type { Runs } from './runs.ts'
import { Timer, TimerHeap } from './timers.ts'
import { TopicCache } from './topic-cache.ts'
import { TopicTrie } from './topics.ts'

/** What a timer is for; its rank is its kind's place in this list. */
export type Due =
  | { readonly type: 'lease'; readonly session: Session }
  | { readonly type: 'grace'; readonly session: Session }
  | { readonly type: 'visibility'; readonly consumer: Consumer }
  | { readonly type: 'release'; readonly queue: Queue }

/** Work that an entry began and that goes on, in this order, with the next ones when it is too much for one. */
export type Work =
  /** Brings back the open deliveries of a consumer that are not in its `held`. */
  | { readonly type: 'return'; readonly consumer: Consumer }
  /** Ends the consumers of a deleted queue. */
  | { readonly type: 'cancelConsumers'; readonly queue: Queue }
  /** Deletes the exclusive queues of a session that has ended. */
  | { readonly type: 'deleteExclusive'; readonly session: Session }
  /** Detaches the sessions of a boot that is over. */
  | { readonly type: 'detachBoot'; readonly boot: BootState }

/** A life of a node, as the log tells it. */
export class BootState {
  readonly node: string
  readonly bootId: number
  /** Attached sessions. In order of their epochs, because each attachment puts its session at the end. */
  readonly sessions = new Set<Session>()
  /** The leader lost sight of it, and nothing was attached to it since. */
  lost = false
  /** Attachments with lower epochs are over, whether their sessions were already told or not. */
  voidBelow = 0
  /** Machine time at which that happened: graces and leases count from here. */
  voidAtMs = 0

  /** Sessions that this boot has opened, by the nonce it asked with: its latest OPENINGS_REMEMBERED_MAX, in the order of the log. */
  readonly openings = new Map<number, number>()

  constructor(node: string, bootId: number) {
    this.node = node
    this.bootId = bootId
  }
}

export class Session {
  readonly id: number
  readonly name: string
  readonly leaseMs: number
  readonly detachGraceMs: number
  /** Last sequence judged. Invariant: rises by one with each message or command, never falls. */
  lastSequence = 0
  /** The client knows all outcomes up to it. Invariant: ≤ lastSequence, never falls. */
  seen = 0
  /** Outcomes above `seen` that are not plain success, in order of sequence; at most limits.outcomesPerSessionMax. */
  readonly outcomes = new Map<number, OutcomeNotice>()
  /** Highest connection number that was attached. */
  connection: number
  /** Undefined while detached. Ask `inForce` before believing it: its boot may be over. */
  attached: { readonly to: Attachment; readonly boot: BootState } | undefined
  readonly consumers = new Map<number, Consumer>()
  readonly listeners = new Map<number, Listening>()
  readonly exclusiveQueues = new Set<Queue>()
  /** Open deliveries of all its consumers. */
  open = 0
  /** Runs while detached; ends the session. */
  readonly lease: Timer<Due>
  /** Runs while detached; brings its open deliveries back. */
  readonly grace: Timer<Due>

  constructor(id: number, name: string, leaseMs: number, detachGraceMs: number, connection: number) {
    this.id = id
    this.name = name
    this.leaseMs = leaseMs
    this.detachGraceMs = detachGraceMs
    this.connection = connection
    this.lease = new Timer({ type: 'lease', session: this }, 0, id)
    this.grace = new Timer({ type: 'grace', session: this }, 1, id)
  }
}

/** A session's claim on a queue: until it is cancelled, or for one receive. */
export class Consumer {
  readonly id: number
  readonly session: Session
  readonly queue: Queue
  /** Most deliveries that may be open. Its credit is what is left of it. */
  readonly prefetch: number
  readonly visibilityTimeoutMs: number
  /** Invariant: above every delivery number ever used. */
  nextDelivery = 1
  readonly open = new OpenDeliveries()
  /**
   * Set while a return is pending: only these deliveries are still open, whatever `open` says. Until it is done the queue
   * assigns nothing, so no delivery comes in between.
   */
  held: Runs | undefined
  /** Cancelled, or its session or queue is gone. */
  ended = false
  /** Neighbours among the consumers of the queue that have credit; undefined while it is not one of them. */
  next: Consumer | undefined
  previous: Consumer | undefined
  /** Runs at the earliest deadline of its open deliveries, or before. */
  readonly visibility: Timer<Due>
  /** Of a receive: runs while it waits, and ends it when nothing came. Undefined: this is no receive. */
  readonly wait: Timer<Consumer> | undefined
  /** It is a receive and has got what it gets: it is over when none of that is open any more. */
  served = false

  constructor(
    id: number,
    session: Session,
    queue: Queue,
    prefetch: number,
    visibilityTimeoutMs: number,
    isReceive: boolean,
  ) {
    this.id = id
    this.session = session
    this.queue = queue
    this.prefetch = prefetch
    this.visibilityTimeoutMs = visibilityTimeoutMs
    this.visibility = new Timer({ type: 'visibility', consumer: this }, 2, id)
    this.wait = isReceive ? new Timer(this, 0, id) : undefined
  }
}

/**
 * Invariants: (1) every message in `returned` is older than every one in `ready`; (2) `turn` and its neighbours are the consumers with
 * credit whose sessions were attached when they got it; (3) unsettled is the sum of its consumers' open deliveries, pending
 * returns of ended ones included; (4) a receive that is served has open deliveries, or has ended.
 */
export class Queue {
  readonly id: number
  readonly name: string
  readonly durable: boolean
  /** The session that it is exclusive to. */
  readonly owner: Session | undefined
  readonly bindings = new Set<string>()
  readonly consumers = new Map<number, Consumer>()
  /** How many of its consumers are receives. */
  receives = 0
  readonly ready = new ReadyMessages()
  readonly returned = new MessageHeap()
  readonly delayed = new MessageHeap()
  /** Who gets the next message. */
  turn: Consumer | undefined
  unsettled = 0
  /** Consumers with a pending return. */
  returning = 0
  deleted = false
  /** Is in State.unassigned. */
  marked = false
  /** Runs when the first delayed message is due. */
  readonly release: Timer<Due>
  published = 0
  delivered = 0
  settled = 0
  redelivered = 0

  /** Messages in it: ready, delayed, or delivered and not settled. */
  get length(): number {
    return this.ready.length + this.returned.length + this.delayed.length + this.unsettled
  }

  constructor(id: number, name: string, durable: boolean, owner: Session | undefined) {
    this.id = id
    this.name = name
    this.durable = durable
    this.owner = owner
    this.release = new Timer({ type: 'release', queue: this }, 3, id)
  }
}

/** Where messages of a topic go. */
export interface Route {
  /** Each once, in order of their ids. */
  readonly queues: readonly Queue[]
  /** What it took to find them: trie nodes and queues. Follows from the bindings alone. */
  readonly cost: number
}

/** A session's volatile interest in a pattern. */
export interface Listening {
  readonly id: number
  readonly session: Session
  readonly pattern: string
}

/** A session that hears volatile messages on a topic. */
export interface Listener {
  readonly session: number
  readonly listener: number
  readonly to: Attachment
}

/** Counters since the log's first entry; none of them ever falls. */
export interface Totals {
  /** Messages accepted, routed or not. */
  published: number
  /** Copies put into queues. */
  routedCopies: number
  /** Messages that no queue was bound for. */
  unroutable: number
  delivered: number
  /** Deliveries with an attempt above 1; part of `delivered`. */
  redelivered: number
  acked: number
  /** Deliveries given back by nack. */
  released: number
  rejected: number
  /** Deliveries that came back because their deadline passed. */
  expired: number
  /** Deliveries that came back because their consumer went. */
  returned: number
  /** Copies that went with their queue. */
  dropped: number
}

export class State {
  timeMs = 0
  wallMs = 0
  appliedIndex = 0
  /** Latest boot of each node. */
  readonly boots = new Map<string, BootState>()
  readonly sessions = new Map<number, Session>()
  readonly queues = new Map<string, Queue>()
  readonly consumers = new Map<number, Consumer>()
  readonly bindings = new TopicTrie<Queue>()
  readonly listening = new TopicTrie<Listening>()
  readonly timers = new TimerHeap<Due>()
  /** Receives that wait. Apart from the other timers, because they are judged after all that an entry does. */
  readonly waits = new TimerHeap<Consumer>()
  readonly work = new Fifo<Work>()
  /** Queues that may have both a message and a consumer with credit. */
  readonly unassigned = new Fifo<Queue>()
  readonly totals: Totals = {
    published: 0,
    routedCopies: 0,
    unroutable: 0,
    delivered: 0,
    redelivered: 0,
    acked: 0,
    released: 0,
    rejected: 0,
    expired: 0,
    returned: 0,
    dropped: 0,
  }
  /** Outcomes that all sessions keep. */
  outcomes = 0
  /** Cache: topic → queues. Cleared when a binding changes. */
  readonly routes = new TopicCache<Route>()
  /** Cache: topic → listeners. Cleared when a listener or the attachment of one changes. */
  readonly heard = new TopicCache<readonly Listener[]>()
}

/** The attachment that effects for the session go to; undefined while it is detached or its boot is over. */
export function inForce(session: Session): Attachment | undefined {
  const attached = session.attached
  return attached !== undefined && attached.to.epoch >= attached.boot.voidBelow ? attached.to : undefined
}

/** Copies in queues: ready, delayed, or delivered and not settled. Follows from the totals, so it costs nothing to keep. */
export function queuedCopies({ totals }: State): number {
  return totals.routedCopies - totals.acked - totals.rejected - totals.dropped
}
