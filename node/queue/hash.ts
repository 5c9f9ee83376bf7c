/**
 * A hash of the whole state, to compare replicas at the same index (trap 26). Canonical: it follows ids and names, never the
 * history of a map, a heap or a block list, so equal states have equal hashes. Two 32-bit lanes of FNV-1a with different
 * seeds: it finds divergence, it does not withstand an adversary.
 */
import { MACHINE_VERSION } from './constants.ts'
import type { Consumer, Queue, Session, State, Work } from './state.ts'
import type { Timer } from './timers.ts'

export function hashState(state: State): string {
  const hash = new Hash()
  hash.numbers(MACHINE_VERSION, state.timeMs, state.wallMs, state.appliedIndex)
  for (const total of Object.values(state.totals)) hash.numbers(total)
  for (const boot of sorted(state.boots.values(), (boot) => boot.node)) {
    hash.text(boot.node)
    hash.numbers(boot.bootId, Number(boot.lost), boot.voidBelow, boot.voidAtMs, boot.sessions.size)
    // In their own order, which decides what is forgotten first.
    hash.number(boot.openings.size)
    for (const opening of boot.openings) hash.numbers(...opening)
  }
  for (const session of sorted(state.sessions.values(), (session) => session.id)) hashSession(hash, session)
  for (const queue of sorted(state.queues.values(), (queue) => queue.id)) hashQueue(hash, queue)
  for (const consumer of sorted(state.consumers.values(), (consumer) => consumer.id)) hashConsumer(hash, consumer)
  for (const item of state.work) hashWork(hash, item)
  for (const queue of state.unassigned) hash.numbers(queue.id)
  return hash.digest()
}

function hashSession(hash: Hash, session: Session): void {
  const { attached } = session
  hash.text(session.name)
  hash.numbers(session.id, session.leaseMs, session.detachGraceMs, session.lastSequence, session.seen)
  hash.numbers(session.connection, session.open, attached?.to.epoch ?? -1, attached?.to.bootId ?? -1)
  hash.text(attached?.to.node ?? '')
  hashTimer(hash, session.lease)
  hashTimer(hash, session.grace)
  for (const outcome of sorted(session.outcomes.values(), (outcome) => outcome.sequence)) {
    hash.numbers(outcome.sequence)
    hash.text(outcome.code ?? '')
    hash.text(outcome.message ?? '')
    hash.text(JSON.stringify(outcome.result ?? null))
  }
  for (const listening of sorted(session.listeners.values(), (listening) => listening.id)) {
    hash.numbers(listening.id)
    hash.text(listening.pattern)
  }
}

function hashQueue(hash: Hash, queue: Queue): void {
  hash.text(queue.name)
  hash.numbers(queue.id, Number(queue.durable), queue.owner?.id ?? -1, queue.unsettled, queue.returning)
  hash.numbers(queue.published, queue.delivered, queue.settled, queue.redelivered, Number(queue.marked))
  for (const pattern of [...queue.bindings].sort()) hash.text(pattern)
  hash.numbers(queue.ready.length, queue.returned.length, queue.delayed.length)
  queue.ready.forEachRun((index, position, count) => {
    hash.numbers(index, position, count)
  })
  for (const messages of [queue.returned.capture(), queue.delayed.capture()]) {
    for (; messages !== undefined && messages.length > 0; messages.shift()) {
      hash.numbers(messages.dueMs, messages.index, messages.position, messages.attempts)
    }
  }
  hashTimer(hash, queue.release)
  const first = queue.turn
  for (let consumer = first; consumer !== undefined; consumer = consumer.next === first ? undefined : consumer.next) {
    hash.numbers(consumer.id)
  }
}

function hashConsumer(hash: Hash, consumer: Consumer): void {
  const { open, held } = consumer
  hash.numbers(consumer.id, consumer.session.id, consumer.queue.id, consumer.prefetch, consumer.visibilityTimeoutMs)
  hash.numbers(consumer.nextDelivery, Number(consumer.ended), open.size, held?.length ?? -1)
  for (const run of held ?? []) hash.numbers(...run)
  for (let row = open.startRow; row < open.endRow; row++) {
    if (!open.isOpen(row)) continue
    hash.numbers(
      open.deliveryAt(row),
      open.indexAt(row),
      open.positionAt(row),
      open.attemptAt(row),
      open.deadlineAt(row),
    )
  }
  hashTimer(hash, consumer.visibility)
  hash.numbers(Number(consumer.served), consumer.wait === undefined ? -2 : consumer.wait.atMs)
}

/** What unfinished work is about may be gone from the maps already, but for this. */
function hashWork(hash: Hash, item: Work): void {
  hash.text(item.type)
  switch (item.type) {
    case 'return':
      return hashConsumer(hash, item.consumer)
    case 'cancelConsumers':
      return hash.numbers(item.queue.id, item.queue.consumers.size)
    case 'deleteExclusive':
      return hash.numbers(item.session.id, item.session.exclusiveQueues.size)
    case 'detachBoot':
      hash.text(item.boot.node)
      return hash.numbers(item.boot.bootId, item.boot.sessions.size)
  }
}

function hashTimer<T>(hash: Hash, timer: Timer<T>): void {
  hash.numbers(timer.slot < 0 ? -1 : timer.atMs)
}

function sorted<T>(items: Iterable<T>, key: (item: T) => number | string): T[] {
  return [...items].sort((a, b) => (key(a) < key(b) ? -1 : 1))
}

class Hash {
  #low = 0x811c9dc5
  #high = 0x2f0b4c47
  readonly #view = new DataView(new ArrayBuffer(8))

  number(value: number): void {
    this.#view.setFloat64(0, value)
    this.#word(this.#view.getUint32(0))
    this.#word(this.#view.getUint32(4))
  }

  numbers(...values: number[]): void {
    for (const value of values) this.number(value)
  }

  /** With its length, so that neighbouring texts never blur. */
  text(text: string): void {
    this.#word(text.length)
    for (let i = 0; i < text.length; i++) this.#word(text.charCodeAt(i))
  }

  /** 16 hexadecimal digits. */
  digest(): string {
    const hex = (lane: number) => (lane >>> 0).toString(16).padStart(8, '0')
    return hex(this.#high) + hex(this.#low)
  }

  #word(word: number): void {
    this.#low = Math.imul(this.#low ^ word, 0x01000193)
    this.#high = Math.imul(this.#high ^ (word >>> 15) ^ (word << 17), 0x01000193) ^ (this.#low >>> 13)
  }
}
