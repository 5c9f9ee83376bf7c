/**
 * One walk over the state, from which a checkpoint is written: it copies what is small (a few numbers for each session, queue, consumer and
 * binding) and shares what is large (messages and deliveries), so its cost does not depend on the length of any queue.
 *
 * What follows from the rest is not captured: sums, caches, heaps of timers, who is a member of what. Every order that decides
 * anything is (trap 31): of the boots, their openings and attachments, turns, work and unassigned queues; whatever is keyed by
 * minted ids is in their order by itself.
 */
import { CHECKPOINT_VERSION, Section } from './checkpoint-format.ts'
import { HeapRows, OpenRows, OutcomeRows, ReadyRows, type Rows, TableRows } from './checkpoint-rows.ts'
import { MACHINE_VERSION } from './constants.ts'
import type { EntrySet } from './entry-set.ts'
import type { BootState, Consumer, Queue, Session, State, Work } from './state.ts'

/** What unfinished work is, by number. */
export const WORK_TYPES: readonly Work['type'][] = ['return', 'cancelConsumers', 'deleteExclusive', 'detachBoot']

/** Objects that are no longer in the state's maps but that unfinished work is about belong to it. */
export class Capture {
  readonly #state: State
  readonly #references: EntrySet
  readonly #boots: BootState[]
  readonly #sessions: Session[]
  readonly #queues: Queue[]
  readonly #consumers: Consumer[]
  /** In the order of their sections. */
  readonly rows: readonly Rows[]

  constructor(state: State, group: number, references: EntrySet) {
    this.#state = state
    this.#references = references
    const consumers = new Set<Consumer>()
    const queues = new Set<Queue>()
    const sessions = new Set<Session>()
    const boots = new Set(state.boots.values())
    // A deleted queue that still has consumers is what such work is about, so none is missed.
    for (const item of state.work) {
      if (item.type === 'return') consumers.add(item.consumer)
      else if (item.type === 'cancelConsumers') queues.add(item.queue)
      else if (item.type === 'deleteExclusive') sessions.add(item.session)
      else boots.add(item.boot)
    }
    for (const queue of state.unassigned) queues.add(queue)
    for (const { session, queue } of consumers) {
      queues.add(queue)
      sessions.add(session)
    }
    this.#boots = [...boots]
    this.#consumers = [...state.consumers.values(), ...byId(consumers, ({ ended }) => ended)]
    this.#queues = [...state.queues.values(), ...byId(queues, ({ deleted }) => deleted)]
    this.#sessions = [...state.sessions.values(), ...byId(sessions, ({ id }) => !state.sessions.has(id))]
    this.rows = [
      this.#machine(group),
      ...this.#bootRows(),
      ...this.#sessionRows(),
      ...this.#queueRows(),
      ...this.#consumerRows(),
      ...this.#orderRows(),
      ...this.#messageRows(),
    ]
  }

  #machine(group: number): Rows {
    const { timeMs, wallMs, appliedIndex, totals } = this.#state
    const numbers = [CHECKPOINT_VERSION, MACHINE_VERSION, group, timeMs, wallMs, appliedIndex, ...Object.values(totals)]
    const machine = new TableRows(Section.machine, numbers.length)
    machine.row()
    for (const number of numbers) machine.put(number)
    return machine
  }

  #bootRows(): Rows[] {
    const boots = new TableRows(Section.boots, 5)
    const openings = new TableRows(Section.openings, 3)
    for (const [number, boot] of this.#boots.entries()) {
      boots.row(boot.node)
      boots.put(boot.bootId)
      boots.put(Number(this.#state.boots.get(boot.node) === boot))
      boots.put(Number(boot.lost))
      boots.put(boot.voidBelow)
      boots.put(boot.voidAtMs)
      for (const [nonce, session] of boot.openings) {
        openings.row()
        openings.put(number)
        openings.put(nonce)
        openings.put(session)
      }
    }
    return [boots, openings]
  }

  #sessionRows(): Rows[] {
    const sessions = new TableRows(Section.sessions, 9, this.#sessions.length)
    const attachments = new TableRows(Section.attachments, 3, this.#sessions.length)
    const outcomes: Rows[] = []
    const listeners = new TableRows(Section.listeners, 2)
    for (const session of this.#sessions) {
      sessions.row(session.name)
      sessions.put(session.id)
      sessions.put(Number(this.#state.sessions.has(session.id)))
      sessions.put(session.leaseMs)
      sessions.put(session.detachGraceMs)
      sessions.put(session.lastSequence)
      sessions.put(session.seen)
      sessions.put(session.connection)
      sessions.put(session.lease.atMs)
      sessions.put(session.grace.atMs)
      if (session.outcomes.size > 0) outcomes.push(new OutcomeRows(session.id, [...session.outcomes.values()]))
      for (const { id, pattern } of session.listeners.values()) {
        listeners.row(pattern)
        listeners.put(id)
        listeners.put(session.id)
      }
    }
    for (const [number, boot] of this.#boots.entries()) {
      for (const { id, attached } of boot.sessions) {
        attachments.row()
        attachments.put(number)
        attachments.put(id)
        attachments.put(attached!.to.epoch)
      }
    }
    return [sessions, attachments, ...outcomes, listeners]
  }

  #queueRows(): Rows[] {
    const queues = new TableRows(Section.queues, 9, this.#queues.length)
    const bindings = new TableRows(Section.bindings, 1, this.#queues.length)
    for (const queue of this.#queues) {
      queues.row(queue.name)
      queues.put(queue.id)
      queues.put(Number(queue.durable))
      // Nobody asks whose a deleted queue was, and its owner may be gone.
      queues.put(queue.deleted ? 0 : (queue.owner?.id ?? 0))
      queues.put(Number(queue.deleted))
      queues.put(queue.release.atMs)
      queues.put(queue.published)
      queues.put(queue.delivered)
      queues.put(queue.settled)
      queues.put(queue.redelivered)
      for (const pattern of queue.bindings.size > 1 ? [...queue.bindings].sort() : queue.bindings) {
        bindings.row(pattern)
        bindings.put(queue.id)
      }
    }
    return [queues, bindings]
  }

  #consumerRows(): Rows[] {
    const consumers = new TableRows(Section.consumers, 12, this.#consumers.length)
    const held = new TableRows(Section.held, 3)
    const open: Rows[] = []
    for (const consumer of this.#consumers) {
      consumers.row()
      consumers.put(consumer.id)
      consumers.put(consumer.session.id)
      consumers.put(consumer.queue.id)
      consumers.put(consumer.prefetch)
      consumers.put(consumer.visibilityTimeoutMs)
      consumers.put(Number(consumer.wait !== undefined))
      consumers.put(Number(consumer.served))
      consumers.put(consumer.nextDelivery)
      consumers.put(Number(consumer.ended))
      consumers.put(consumer.visibility.atMs)
      consumers.put(Number(consumer.held !== undefined))
      consumers.put(consumer.wait?.atMs ?? Number.POSITIVE_INFINITY)
      for (const [first, count] of consumer.held ?? []) {
        held.row()
        held.put(consumer.id)
        held.put(first)
        held.put(count)
      }
      const deliveries = consumer.open.capture()
      if (deliveries !== undefined) open.push(new OpenRows(consumer.id, deliveries, this.#references))
    }
    return [consumers, held, ...open]
  }

  #orderRows(): Rows[] {
    const turns = new TableRows(Section.turns, 2, this.#consumers.length)
    for (const queue of this.#queues) {
      let consumer = queue.turn
      if (consumer === undefined) continue
      do {
        turns.row()
        turns.put(queue.id)
        turns.put(consumer.id)
        consumer = consumer.next!
      } while (consumer !== queue.turn)
    }
    const work = new TableRows(Section.work, 2)
    for (const item of this.#state.work) {
      work.row()
      work.put(WORK_TYPES.indexOf(item.type))
      work.put(this.#subject(item))
    }
    const unassigned = new TableRows(Section.unassigned, 1)
    for (const { id } of this.#state.unassigned) {
      unassigned.row()
      unassigned.put(id)
    }
    return [turns, work, unassigned]
  }

  /** What unfinished work is about: an id, or a boot's number. */
  #subject(item: Work): number {
    switch (item.type) {
      case 'return':
        return item.consumer.id
      case 'cancelConsumers':
        return item.queue.id
      case 'deleteExclusive':
        return item.session.id
      case 'detachBoot':
        return this.#boots.indexOf(item.boot)
    }
  }

  #messageRows(): Rows[] {
    const returned: Rows[] = []
    const delayed: Rows[] = []
    const ready: Rows[] = []
    for (const queue of this.#queues) {
      const back = queue.returned.capture()
      if (back !== undefined) returned.push(new HeapRows(Section.returned, queue.id, back, this.#references))
      const later = queue.delayed.capture()
      if (later !== undefined) delayed.push(new HeapRows(Section.delayed, queue.id, later, this.#references))
      const waiting = queue.ready.capture()
      if (waiting !== undefined) ready.push(new ReadyRows(queue.id, waiting, this.#references))
    }
    return [...returned, ...delayed, ...ready]
  }
}

/** Objects that no map of the state holds any more, in order of their ids. */
function byId<T extends { readonly id: number }>(items: Iterable<T>, isGone: (item: T) => boolean): T[] {
  return [...items].filter(isGone).sort((a, b) => a.id - b.id)
}
