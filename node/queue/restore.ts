/**
 * Builds a machine's state from the sections of a checkpoint, in their order, so that whatever a row refers to is there before it. What a
 * checkpoint does not hold follows from what it does: sums, heaps of timers, memberships.
 *
 * Never: a state of which half is missing: the first thing that cannot be is a CheckpointFormatError.
 */
import { isErrorCode } from '../../wire/errors.ts'
import type { OutcomeNotice } from '../../wire/session-frames.ts'
import { WORK_TYPES } from './checkpoint-capture.ts'
import { CHECKPOINT_VERSION, CheckpointFormatError, type ChunkReader, Section } from './checkpoint-format.ts'
import { ATTEMPTS_MAX, MACHINE_VERSION } from './constants.ts'
import { joinTurns } from './credit.ts'
import { EntrySet } from './entry-set.ts'
import type { Run } from './runs.ts'
import { BootState, Consumer, type Due, Queue, queuedCopies, Session, State, type Totals } from './state.ts'
import type { Timer } from './timers.ts'

export class Restoration {
  readonly state = new State()
  readonly references = new EntrySet()
  group = 0
  readonly #boots: BootState[] = []
  readonly #sessions = new Map<number, Session>()
  readonly #queues = new Map<number, Queue>()
  readonly #consumers = new Map<number, Consumer>()
  readonly #held = new Map<Consumer, Run[]>()
  /** Copies found in queues. */
  #copies = 0

  /** Reads the rows of one piece. */
  read(section: number, rows: number, from: ChunkReader): void {
    if (section === Section.open) return this.#open(rows, from)
    if (section === Section.outcomes) return this.#outcomes(rows, from)
    if (section === Section.returned || section === Section.delayed) return this.#heap(section, rows, from)
    if (section === Section.ready) return this.#ready(rows, from)
    for (let row = 0; row < rows; row++) this.#row(section, from)
  }

  /** Throws unless the messages that were found are those that the totals account for. */
  check(): void {
    if (this.#copies === queuedCopies(this.state)) return
    throw new CheckpointFormatError(`${this.#copies} messages are queued, not ${queuedCopies(this.state)}`)
  }

  #row(section: number, from: ChunkReader): void {
    switch (section) {
      case Section.machine:
        return this.#machine(from)
      case Section.boots:
        return this.#boot(from)
      case Section.openings:
        this.#bootAt(from).openings.set(from.integer(), from.integer())
        return
      case Section.sessions:
        return this.#session(from)
      case Section.attachments:
        return this.#attachment(from)
      case Section.listeners:
        return this.#listener(from)
      case Section.queues:
        return this.#queue(from)
      case Section.bindings:
        return this.#binding(from)
      case Section.consumers:
        return this.#consumer(from)
      case Section.held:
        return this.#heldRun(from)
      case Section.turns:
        return this.#turn(from)
      case Section.work:
        return this.#work(from)
      case Section.unassigned:
        return this.#unassigned(from)
      default:
        throw new CheckpointFormatError(`there is no section ${section}`)
    }
  }

  #machine(from: ChunkReader): void {
    const { state } = this
    const version = from.integer()
    if (version !== CHECKPOINT_VERSION) throw new CheckpointFormatError(`version ${version} of checkpoints is unknown`)
    const machine = from.integer()
    if (machine !== MACHINE_VERSION) throw new CheckpointFormatError(`version ${machine} of the machine is unknown`)
    this.group = from.integer()
    state.timeMs = from.number()
    state.wallMs = from.number()
    state.appliedIndex = from.integer()
    for (const name of Object.keys(state.totals) as (keyof Totals)[]) state.totals[name] = from.integer()
  }

  #boot(from: ChunkReader): void {
    const boot = new BootState(from.text(), from.integer())
    const isLatest = from.flag()
    boot.lost = from.flag()
    boot.voidBelow = from.number()
    boot.voidAtMs = from.number()
    this.#boots.push(boot)
    if (isLatest) addNew(this.state.boots, boot.node, boot)
  }

  #bootAt(from: ChunkReader): BootState {
    const boot = this.#boots[from.integer()]
    if (boot === undefined) throw new CheckpointFormatError('a row refers to a boot that is not there')
    return boot
  }

  #session(from: ChunkReader): void {
    const name = from.text()
    const id = from.integer()
    const isAlive = from.flag()
    const leaseMs = from.integer()
    const detachGraceMs = from.integer()
    const lastSequence = from.integer()
    const seen = from.integer()
    const session = new Session(id, name, leaseMs, detachGraceMs, from.integer())
    session.lastSequence = lastSequence
    session.seen = seen
    this.#setTimer(session.lease, from)
    this.#setTimer(session.grace, from)
    addNew(this.#sessions, id, session)
    if (isAlive) this.state.sessions.set(id, session)
  }

  /** Each goes to the end of its boot's sessions: their order is that of their epochs. */
  #attachment(from: ChunkReader): void {
    const boot = this.#bootAt(from)
    const session = known(this.#sessions, from.integer())
    const { node, bootId } = boot
    session.attached = { to: { session: session.id, node, bootId, epoch: from.integer() }, boot }
    boot.sessions.add(session)
  }

  #outcomes(rows: number, from: ChunkReader): void {
    const session = known(this.#sessions, from.integer())
    for (let row = 0; row < rows; row++) {
      const outcome = readOutcome(from)
      addNew(session.outcomes, outcome.sequence, outcome)
    }
    this.state.outcomes += rows
  }

  #listener(from: ChunkReader): void {
    const pattern = from.text()
    const id = from.integer()
    const session = known(this.#sessions, from.integer())
    const listening = { id, session, pattern }
    addNew(session.listeners, id, listening)
    this.state.listening.add(pattern, listening)
  }

  #queue(from: ChunkReader): void {
    const name = from.text()
    const id = from.integer()
    const durable = from.flag()
    const ownerId = from.integer()
    const owner = ownerId === 0 ? undefined : known(this.#sessions, ownerId)
    const queue = new Queue(id, name, durable, owner)
    queue.deleted = from.flag()
    this.#setTimer(queue.release, from)
    queue.published = from.integer()
    queue.delivered = from.integer()
    queue.settled = from.integer()
    queue.redelivered = from.integer()
    addNew(this.#queues, id, queue)
    if (queue.deleted) return
    addNew(this.state.queues, name, queue)
    owner?.exclusiveQueues.add(queue)
  }

  #binding(from: ChunkReader): void {
    const pattern = from.text()
    const queue = known(this.#queues, from.integer())
    queue.bindings.add(pattern)
    this.state.bindings.add(pattern, queue)
  }

  #consumer(from: ChunkReader): void {
    const id = from.integer()
    const session = known(this.#sessions, from.integer())
    const queue = known(this.#queues, from.integer())
    const consumer = new Consumer(id, session, queue, from.integer(), from.integer(), from.flag())
    consumer.served = from.flag()
    consumer.nextDelivery = from.integer()
    consumer.ended = from.flag()
    this.#setTimer(consumer.visibility, from)
    if (from.flag()) {
      const held: Run[] = []
      this.#held.set(consumer, held)
      consumer.held = held
      queue.returning++
    }
    this.#wait(consumer, from.number())
    addNew(this.#consumers, id, consumer)
    if (consumer.ended) return
    if (consumer.wait !== undefined) queue.receives++
    this.state.consumers.set(id, consumer)
    session.consumers.set(id, consumer)
    queue.consumers.set(id, consumer)
  }

  #wait({ wait, ended, served }: Consumer, atMs: number): void {
    const isWaiting = wait !== undefined && !ended && !served
    if (isWaiting !== Number.isFinite(atMs))
      throw new CheckpointFormatError('a receive waits that must not, or does not')
    if (isWaiting) this.state.waits.set(wait, atMs)
  }

  #heldRun(from: ChunkReader): void {
    const held = this.#held.get(known(this.#consumers, from.integer()))
    if (held === undefined) throw new CheckpointFormatError('a consumer holds something without a pending return')
    held.push([from.integer(), from.integer()])
  }

  #open(rows: number, from: ChunkReader): void {
    const consumer = known(this.#consumers, from.integer())
    const { open, session, queue } = consumer
    let delivery = 0
    let index = 0
    let deadlineMs = 0
    for (let row = 0; row < rows; row++) {
      delivery += from.integer()
      index += from.signed()
      const position = from.uint32()
      const mixed = from.integer()
      if (mixed % 2 === 1) deadlineMs = from.number()
      const isRising = open.size === 0 || delivery > open.deliveryAt(open.endRow - 1)
      if (!isRising || delivery >= consumer.nextDelivery) throw new CheckpointFormatError('a delivery out of order')
      open.add(delivery, index, position, attemptsOf(Math.floor(mixed / 2)), deadlineMs)
      this.references.add(indexOf(index))
    }
    session.open += rows
    if (queue.deleted) return
    queue.unsettled += rows
    this.#copies += rows
  }

  #turn(from: ChunkReader): void {
    const queue = known(this.#queues, from.integer())
    const consumer = known(this.#consumers, from.integer())
    if (consumer.queue !== queue || consumer.next !== undefined) {
      throw new CheckpointFormatError('a consumer takes turns twice, or in a queue that is not its own')
    }
    joinTurns(consumer)
  }

  #work(from: ChunkReader): void {
    const type = WORK_TYPES[from.integer()]
    const { work } = this.state
    switch (type) {
      case 'return':
        return work.push({ type, consumer: known(this.#consumers, from.integer()) })
      case 'cancelConsumers':
        return work.push({ type, queue: known(this.#queues, from.integer()) })
      case 'deleteExclusive':
        return work.push({ type, session: known(this.#sessions, from.integer()) })
      case 'detachBoot':
        return work.push({ type, boot: this.#bootAt(from) })
      default:
        throw new CheckpointFormatError('work of no known type')
    }
  }

  #unassigned(from: ChunkReader): void {
    const queue = known(this.#queues, from.integer())
    if (queue.marked) throw new CheckpointFormatError('a queue is unassigned twice')
    queue.marked = true
    this.state.unassigned.push(queue)
  }

  #heap(section: number, rows: number, from: ChunkReader): void {
    const queue = known(this.#queues, from.integer())
    const messages = section === Section.returned ? queue.returned : queue.delayed
    let index = 0
    for (let row = 0; row < rows; row++) {
      const dueMs = from.number()
      index += from.signed()
      messages.push(dueMs, index, from.uint32(), attemptsOf(from.integer()))
      this.references.add(indexOf(index))
    }
    this.#copies += rows
  }

  #ready(rows: number, from: ChunkReader): void {
    const queue = known(this.#queues, from.integer())
    let index = 0
    let nextPosition = 0
    for (let row = 0; row < rows; row++) {
      const ahead = from.integer()
      const position = from.uint32()
      const count = from.uint32()
      index += ahead
      if (count === 0 || (ahead === 0 && position < nextPosition)) {
        throw new CheckpointFormatError('a run of messages is empty or out of order')
      }
      nextPosition = position + count
      queue.ready.pushRun(indexOf(index), position, count)
      this.references.add(index)
      this.#copies += count
    }
  }

  #setTimer(timer: Timer<Due>, from: ChunkReader): void {
    const atMs = from.number()
    if (atMs !== Number.POSITIVE_INFINITY) this.state.timers.set(timer, atMs)
  }
}

function readOutcome(from: ChunkReader): OutcomeNotice {
  const sequence = from.integer()
  const code = from.text()
  const message = from.text()
  const fields = from.integer()
  if (code !== '') {
    if (!isErrorCode(code) || fields > 0) throw new CheckpointFormatError(`'${code}' is no code of an outcome`)
    return { sequence, code, message }
  }
  const result: Record<string, number> = {}
  for (let field = 0; field < fields; field++) result[from.text()] = from.number()
  return { sequence, result }
}

function attemptsOf(value: number): number {
  if (value >= 1 && value <= ATTEMPTS_MAX) return value
  throw new CheckpointFormatError(`${value} is no number of attempts`)
}

function indexOf(value: number): number {
  if (value >= 1 && Number.isSafeInteger(value)) return value
  throw new CheckpointFormatError(`${value} is no log index`)
}

function known<T>(items: ReadonlyMap<number, T>, id: number): T {
  const item = items.get(id)
  if (item === undefined) throw new CheckpointFormatError(`a row refers to ${id}, which is not there`)
  return item
}

function addNew<K, T>(items: Map<K, T>, key: K, item: T): void {
  if (items.has(key)) throw new CheckpointFormatError(`${String(key)} is there twice`)
  items.set(key, item)
}
