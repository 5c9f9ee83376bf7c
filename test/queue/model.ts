/**
 * The queue machine as arrays and plain loops: slow, unbounded, and short enough to be seen to be right. The property tests run it
 * beside the machine.
 *
 * It predicts every effect but one: which of several consumers with credit gets a message is the machine's choice, which the model
 * judges by the rules that must hold for it (`acceptDeliveries`) and then follows.
 *
 * Not modelled: the numbered limits and the bound on work per entry, which the random logs never reach.
 */
import type { Attachment, Effect } from '../../node/queue/index.ts'
import type { ControlCommand } from '../../wire/control-frame.ts'
import { patternProblem, queueNameProblem, topicProblem } from '../../wire/names.ts'
import type { HeldDeliveries, OutcomeNotice } from '../../wire/session-frames.ts'
import { type SettleItem, SettleOutcome } from '../../wire/settle-frame.ts'
import type { TestFrame } from './frames.ts'

export interface ModelMessage {
  readonly index: number
  readonly position: number
  readonly queue: ModelQueue
  /** How often it was delivered. */
  attempts: number
  state:
    | { readonly is: 'ready' }
    | { readonly is: 'delayed'; readonly untilMs: number }
    | { readonly is: 'open'; readonly consumer: ModelConsumer; readonly delivery: number; deadlineMs: number }
}

export interface ModelQueue {
  readonly name: string
  readonly durable: boolean
  readonly owner: ModelSession | undefined
  readonly patterns: Set<string>
}

export interface ModelConsumer {
  readonly id: number
  readonly session: ModelSession
  readonly queue: ModelQueue
  readonly prefetch: number
  readonly visibilityTimeoutMs: number
  /** Undefined: no receive. */
  readonly waitUntilMs: number | undefined
  /** A receive that has got something. */
  served: boolean
  lastDelivery: number
}

export interface ModelSession {
  readonly id: number
  readonly leaseMs: number
  readonly detachGraceMs: number
  connection: number
  to: Attachment | undefined
  detachedAtMs: number
  graceOver: boolean
  lastSequence: number
  seen: number
  readonly outcomes: Map<number, OutcomeNotice>
}

/** Something that happens at a time; of those at the same time, in order of ranks. */
interface Due {
  readonly atMs: number
  readonly rank: number
  readonly happen: () => void
}

type NodeFrame = Extract<TestFrame, { kind: 'node' }>['command']
type PublishFrame = Extract<TestFrame, { kind: 'publish' | 'refused' }>
type Verdict = Omit<OutcomeNotice, 'sequence'>
type Deliver = Extract<Effect, { type: 'deliver' }>
type Received = Extract<Effect, { type: 'received' }>

const NO_ROOM = 'the cluster has no room on its disks'

export class Model {
  timeMs = 0
  index = 0
  frame = 0
  boots: { node: string; bootId: number; lost: boolean }[] = []
  /** Sessions by the boot and nonce that opened them. The logs are far too short for one to be forgotten. */
  private readonly openings = new Map<string, number>()
  sessions: ModelSession[] = []
  queues: ModelQueue[] = []
  consumers: ModelConsumer[] = []
  listeners: { id: number; session: ModelSession; pattern: string }[] = []
  /** All copies that are in queues, in order of their places. */
  messages: ModelMessage[] = []
  /** Copies that ever were. */
  copies = 0
  gone = { acked: 0, rejected: 0, dropped: 0 }
  expected: Effect[] = []
  /** Told after all else that the frame does. */
  private cancelled: Effect[] = []

  begin(index: number, timeMs: number): void {
    this.index = index
    this.frame = -1
    this.timeMs = Math.max(this.timeMs, timeMs)
    this.expected = []
    for (let due = this.nextDue(); due !== undefined && due.atMs <= this.timeMs; due = this.nextDue()) {
      due.happen()
      this.endServed()
    }
    this.finish()
  }

  apply(frame: TestFrame): void {
    this.applyFrame(frame)
    this.finish()
  }

  private applyFrame(frame: TestFrame): void {
    this.frame++
    if (frame.kind === 'node') {
      this.node(frame.command)
      return
    }
    const session = this.sessions.find((each) => each.id === frame.session)
    const to = session?.to
    if (session === undefined || to === undefined || to.epoch !== frame.epoch) {
      this.expected.push({ type: 'staleFrame', session: frame.session, epoch: frame.epoch })
      return
    }
    session.seen = Math.max(session.seen, Math.min(frame.seen, session.lastSequence))
    for (const sequence of [...session.outcomes.keys()]) {
      if (sequence <= session.seen) session.outcomes.delete(sequence)
    }
    if (frame.kind === 'publish' || frame.kind === 'refused') this.publish(session, to, frame)
    else if (frame.kind === 'control') this.control(session, to, frame.sequence, frame.command)
    else this.settle(session, to, frame.tag, frame.items)
  }

  openOf(consumer: ModelConsumer): (ModelMessage & { state: { is: 'open'; delivery: number; deadlineMs: number } })[] {
    return this.messages.filter((each) => each.state.is === 'open' && each.state.consumer === consumer) as never
  }

  /** When something is due next; undefined: nothing ever. */
  dueMs(): number | undefined {
    const waits = this.consumers.filter((each) => !each.served && each.waitUntilMs !== undefined)
    const times = [this.nextDue()?.atMs, ...waits.map((each) => each.waitUntilMs)].filter((each) => each !== undefined)
    return times.length === 0 ? undefined : Math.min(...times)
  }

  /** What time alone brings about next. */
  private nextDue(): Due | undefined {
    const all: Due[] = []
    for (const session of this.sessions) {
      const { to, detachedAtMs, leaseMs, detachGraceMs, graceOver } = session
      if (to !== undefined) continue
      all.push({ atMs: detachedAtMs + leaseMs, rank: 0, happen: () => this.close(session, 'expired') })
      if (!graceOver) all.push({ atMs: detachedAtMs + detachGraceMs, rank: 1, happen: () => this.endGrace(session) })
    }
    for (const message of this.messages) {
      const { state } = message
      if (state.is === 'open') all.push({ atMs: state.deadlineMs, rank: 2, happen: () => this.expire(state.consumer) })
      const happen = () => {
        message.state = { is: 'ready' }
      }
      if (state.is === 'delayed') all.push({ atMs: state.untilMs, rank: 3, happen })
    }
    return all.sort((a, b) => a.atMs - b.atMs || a.rank - b.rank)[0]
  }

  private endGrace(session: ModelSession): void {
    session.graceOver = true
    this.giveBack((consumer) => consumer.session === session)
  }

  private expire(consumer: ModelConsumer): void {
    for (const message of this.openOf(consumer)) {
      const back: ModelMessage = message
      if (message.state.deadlineMs <= this.timeMs) back.state = { is: 'ready' }
    }
  }

  /** Judges the entry's deliveries and makes them its own. Returns what is wrong with them. */
  acceptDeliveries(deliveries: readonly Deliver[]): string[] {
    const problems: string[] = []
    const seen = new Set<number>()
    for (const queue of this.queues) {
      const ofQueue = deliveries.filter(({ consumer }) => this.consumer(consumer)?.queue === queue)
      const ready = this.messages.filter((each) => each.queue === queue && each.state.is === 'ready')
      const takers = this.consumers
        .filter((each) => each.queue === queue && each.session.to !== undefined)
        .map((consumer) => ({
          consumer,
          credit: consumer.served ? 0 : consumer.prefetch - this.openOf(consumer).length,
          got: 0,
        }))
      const credit = takers.reduce((sum, taker) => sum + taker.credit, 0)
      const due = ready.slice(0, credit)
      const given: ModelMessage[] = []
      for (const effect of ofQueue) {
        const taker = takers.find(({ consumer }) => consumer.id === effect.consumer)
        if (taker === undefined || seen.has(effect.consumer)) {
          problems.push(`${queue.name}: consumer ${effect.consumer} is detached, or was served twice`)
          continue
        }
        seen.add(effect.consumer)
        taker.got = effect.indexes.length
        if (taker.got === 0 || taker.got > taker.credit)
          problems.push(`${queue.name}: got ${taker.got} of ${taker.credit}`)
        given.push(...this.take(effect, taker.consumer, due, problems))
      }
      if (given.length !== due.length) problems.push(`${queue.name}: ${given.length} of ${due.length} were delivered`)
      for (const a of takers) {
        for (const b of takers) {
          if (a.got > b.got + 1 && b.got < b.credit) problems.push(`${queue.name}: ${a.got} and ${b.got} is not fair`)
        }
      }
    }
    const known = deliveries.filter(({ consumer }) => seen.has(consumer)).length
    if (known !== deliveries.length) problems.push('deliveries for consumers that are not')
    return problems
  }

  /** What became of the receives in this entry, whose deliveries are accepted, in order of consumers. */
  judgeReceives(): Received[] {
    const received: Received[] = []
    for (const consumer of [...this.consumers]) {
      const { id, session, lastDelivery, waitUntilMs, served } = consumer
      if (waitUntilMs === undefined || served) continue
      if (lastDelivery === 0 && waitUntilMs > this.timeMs) continue
      if (session.to !== undefined)
        received.push({ type: 'received', to: session.to, consumer: id, count: lastDelivery })
      consumer.served = true
    }
    this.finish()
    return received
  }

  private endServed(): void {
    for (const consumer of [...this.consumers]) {
      if (consumer.served && this.openOf(consumer).length === 0) this.endConsumer(consumer)
    }
  }

  /** What a frame, or time, brings about in the end: receives of which nothing is open are over, and consumers without a queue are told. */
  private finish(): void {
    this.endServed()
    this.expected.push(...this.cancelled.splice(0))
  }

  private take(effect: Deliver, consumer: ModelConsumer, due: ModelMessage[], problems: string[]): ModelMessage[] {
    if (effect.firstDelivery !== consumer.lastDelivery + 1) problems.push('delivery numbers have a gap')
    if (effect.to !== consumer.session.to && effect.to.epoch !== consumer.session.to?.epoch)
      problems.push('wrong epoch')
    const taken: ModelMessage[] = []
    let place = -1
    for (const [i, index] of effect.indexes.entries()) {
      const at = due.findIndex((each) => each.index === index && each.position === effect.positions[i])
      const message = due[at]
      if (message === undefined || message.state.is !== 'ready') {
        problems.push(`message ${index}/${effect.positions[i]} was not due`)
        continue
      }
      if (at <= place) problems.push('a consumer gets messages out of order')
      place = at
      message.attempts++
      if (effect.attempts[i] !== message.attempts)
        problems.push(`attempt ${effect.attempts[i]}, not ${message.attempts}`)
      const delivery = ++consumer.lastDelivery
      message.state = { is: 'open', consumer, delivery, deadlineMs: this.timeMs + consumer.visibilityTimeoutMs }
      taken.push(message)
    }
    return taken
  }

  // Publishes

  private publish(session: ModelSession, to: Attachment, frame: PublishFrame): void {
    const { sequence: first, topics, kind } = frame
    if (first > session.lastSequence + 1) {
      this.expected.push({ type: 'gap', to, expected: session.lastSequence + 1 })
      return
    }
    for (const [i, topic] of topics.entries()) {
      const sequence = first + i
      const problem = topicProblem(topic)
      if (sequence <= session.lastSequence) {
        const outcome = session.outcomes.get(sequence)
        if (outcome !== undefined) this.expected.push({ type: 'outcome', to, outcome })
        continue
      }
      session.lastSequence = sequence
      if (kind === 'refused') this.keep(session, to, { sequence, code: 'DiskFull', message: NO_ROOM })
      else if (problem !== undefined) this.keep(session, to, { sequence, code: 'Validation', message: problem })
      else this.route(topic, this.frame * 2 ** 20 + i)
    }
    this.expected.push({ type: 'confirm', to, upTo: session.lastSequence })
  }

  private route(topic: string, position: number): void {
    for (const queue of this.queues) {
      if (![...queue.patterns].some((pattern) => matches(pattern.split('.'), topic.split('.')))) continue
      this.copies++
      this.messages.push({ index: this.index, position, queue, attempts: 0, state: { is: 'ready' } })
    }
  }

  // Settles

  private settle(session: ModelSession, to: Attachment, tag: number, items: readonly SettleItem[]): void {
    const stale: [number, number, number][] = []
    for (const item of items) {
      const consumer = this.consumers.find((each) => each.id === item.consumer && each.session === session)
      let staleRun: [number, number, number] | undefined
      for (let delivery = item.firstDelivery; delivery < item.firstDelivery + item.count; delivery++) {
        const message = consumer && this.openOf(consumer).find((each) => each.state.delivery === delivery)
        if (message !== undefined) {
          this.settleOne(message, item)
          staleRun = undefined
        } else if (staleRun !== undefined) {
          staleRun[2]++
        } else {
          staleRun = [item.consumer, delivery, 1]
          stale.push(staleRun)
        }
      }
    }
    this.expected.push({ type: 'settled', to, notice: { tag, stale } })
  }

  private settleOne(message: ReturnType<Model['openOf']>[number], item: SettleItem): void {
    if (item.outcome === SettleOutcome.extended) message.state.deadlineMs = this.timeMs + item.ms
    else if (item.outcome === SettleOutcome.released) {
      const back: ModelMessage = message
      back.state = item.ms === 0 ? { is: 'ready' } : { is: 'delayed', untilMs: this.timeMs + item.ms }
    } else {
      this.messages = this.messages.filter((each) => each !== message)
      if (item.outcome === SettleOutcome.accepted) this.gone.acked++
      else this.gone.rejected++
    }
  }

  // Control commands

  private control(session: ModelSession, to: Attachment, sequence: number, command: ControlCommand): void {
    if (sequence > session.lastSequence + 1) {
      this.expected.push({ type: 'gap', to, expected: session.lastSequence + 1 })
      return
    }
    if (sequence <= session.lastSequence) {
      const outcome = session.outcomes.get(sequence) ?? { sequence }
      this.expected.push({ type: 'outcome', to, outcome })
      return
    }
    session.lastSequence = sequence
    const verdict = this.judge(session, command)
    if (verdict === undefined) this.expected.push({ type: 'outcome', to, outcome: { sequence } })
    else this.keep(session, to, { sequence, ...verdict })
    if (command.type === 'closeSession') this.close(session, 'closed')
  }

  private keep(session: ModelSession, to: Attachment, outcome: OutcomeNotice): void {
    session.outcomes.set(outcome.sequence, outcome)
    this.expected.push({ type: 'outcome', to, outcome })
  }

  private judge(session: ModelSession, command: ControlCommand): Verdict | undefined {
    switch (command.type) {
      case 'declareQueue':
        return this.declare(session, command)
      case 'cancel': {
        const consumer = this.consumers.find((each) => each.id === command.consumer && each.session === session)
        if (consumer === undefined) return { code: 'NotFound', message: 'the session has no such consumer' }
        this.endConsumer(consumer)
        return undefined
      }
      case 'listen': {
        const problem = patternProblem(command.pattern)
        if (problem !== undefined) return { code: 'Validation', message: problem }
        this.listeners.push({ id: this.minted(), session, pattern: command.pattern })
        return { result: { listener: this.minted() } }
      }
      case 'unlisten': {
        const at = this.listeners.findIndex((each) => each.id === command.listener && each.session === session)
        if (at < 0) return { code: 'NotFound', message: 'the session has no such listener' }
        this.listeners.splice(at, 1)
        return undefined
      }
      case 'closeSession':
        return undefined
      default:
        return this.judgeOnQueue(session, command)
    }
  }

  private declare(session: ModelSession, command: ControlCommand & { type: 'declareQueue' }): Verdict | undefined {
    const { queue: name, durable = true, exclusive = false } = command
    const problem = queueNameProblem(name)
    if (problem !== undefined) return { code: 'Validation', message: problem }
    const owner = exclusive ? session : undefined
    const existing = this.queues.find((each) => each.name === name)
    if (existing === undefined) {
      this.queues.push({ name, durable, owner, patterns: new Set() })
      return undefined
    }
    if (existing.owner !== undefined && existing.owner !== session) return foreign(name)
    if (existing.durable === durable && existing.owner === owner) return undefined
    return { code: 'Precondition', message: `the queue '${name}' exists with other settings` }
  }

  private judgeOnQueue(
    session: ModelSession,
    command: Extract<ControlCommand, { queue: string }>,
  ): Verdict | undefined {
    const queue = this.queues.find((each) => each.name === command.queue)
    const problem = queueNameProblem(command.queue)
    if (problem !== undefined) return { code: 'Validation', message: problem }
    if (queue === undefined) return { code: 'NotFound', message: `there is no queue '${command.queue}'` }
    if (queue.owner !== undefined && queue.owner !== session) return foreign(queue.name)
    if (command.type === 'bind') {
      const problem = patternProblem(command.pattern)
      if (problem !== undefined) return { code: 'Validation', message: problem }
      queue.patterns.add(command.pattern)
    }
    if (command.type === 'unbind') queue.patterns.delete(command.pattern)
    if (command.type === 'deleteQueue') this.deleteQueue(queue)
    if (command.type !== 'consume' && command.type !== 'receive') return undefined
    const { visibilityTimeoutMs } = command
    const id = this.minted()
    const prefetch = command.type === 'consume' ? command.prefetch : command.max
    const waitUntilMs = command.type === 'consume' ? undefined : this.timeMs + command.waitMs
    const fields = { id, session, queue, prefetch, visibilityTimeoutMs, waitUntilMs }
    this.consumers.push({ ...fields, served: false, lastDelivery: 0 })
    return { result: { consumer: id } }
  }

  private deleteQueue(queue: ModelQueue): void {
    this.queues = this.queues.filter((each) => each !== queue)
    this.gone.dropped += this.messages.filter((each) => each.queue === queue).length
    this.messages = this.messages.filter((each) => each.queue !== queue)
    for (const consumer of this.consumers.filter((each) => each.queue === queue)) {
      const { to } = consumer.session
      const reason = `the queue '${queue.name}' was deleted`
      if (to !== undefined) this.cancelled.push({ type: 'cancelled', to, consumer: consumer.id, reason })
    }
    this.consumers = this.consumers.filter((each) => each.queue !== queue)
  }

  private endConsumer(consumer: ModelConsumer): void {
    const { queue } = consumer
    this.giveBack((each) => each === consumer)
    this.consumers = this.consumers.filter((each) => each !== consumer)
    const isLeft = this.consumers.some((each) => each.queue === queue && each.waitUntilMs === undefined)
    if (!queue.durable && consumer.waitUntilMs === undefined && !isLeft) this.deleteQueue(queue)
  }

  private giveBack(which: (consumer: ModelConsumer, delivery: number) => boolean): void {
    for (const message of this.messages) {
      const { state } = message
      if (state.is === 'open' && which(state.consumer, state.delivery)) message.state = { is: 'ready' }
    }
  }

  // Sessions and nodes

  private node(command: NodeFrame): void {
    switch (command.type) {
      case 'openSession':
      case 'attach':
        return this.ask(command)
      case 'detach': {
        const session = this.sessions.find((each) => each.id === command.session)
        if (session?.to !== undefined && session.to.epoch === command.epoch) this.detach(session, 'socketClosed')
        return
      }
      case 'nodeStarted': {
        const { node, bootId } = command
        if (this.isFormer(node, bootId)) this.expected.push({ type: 'bootRefused', node, bootId })
        else this.startBoot(node, bootId)
        return
      }
      case 'nodeLost': {
        const boot = this.boots.find((each) => each.node === command.node && each.bootId === command.bootId)
        if (boot === undefined) return
        boot.lost = true
        this.detachAll((to) => to.node === command.node && to.bootId === command.bootId)
        return
      }
      case 'advance':
        return
    }
  }

  private ask(command: Extract<NodeFrame, { type: 'openSession' | 'attach' }>): void {
    const { node, bootId, nonce, connection } = command
    const refuse = (code: 'SessionLost' | 'Precondition', message: string) => {
      this.expected.push({ type: 'attachRefused', node, bootId, nonce, code, message })
    }
    let session: ModelSession | undefined
    if (command.type === 'attach') {
      session = this.sessions.find((each) => each.id === command.session)
      if (session === undefined) return refuse('SessionLost', 'the session expired or never existed')
      const isSame = connection === session.connection && session.to?.node === node && session.to.bootId === bootId
      if (isSame) return this.tellAttached(session, nonce, connection)
      if (connection <= session.connection) {
        return refuse('Precondition', `connection ${session.connection} of the session is the latest`)
      }
    }
    if (this.isFormer(node, bootId)) {
      const latest = this.boots.find((each) => each.node === node)!.bootId
      return refuse('Precondition', `boot ${latest} of the node is the latest`)
    }
    const opening = `${node} ${bootId} ${nonce}`
    const opened = command.type === 'openSession' ? this.openings.get(opening) : undefined
    if (opened !== undefined) {
      session = this.sessions.find((each) => each.id === opened)
      if (session === undefined) return refuse('SessionLost', 'the session expired or never existed')
      const isSame = connection === session.connection && session.to?.node === node && session.to.bootId === bootId
      if (isSame) return this.tellAttached(session, nonce, connection)
      return refuse('Precondition', `connection ${session.connection} of the session is the latest`)
    }
    const isOfFormerBoot = session?.to?.node === node && session.to.bootId !== bootId
    if (session !== undefined) this.detach(session, isOfFormerBoot ? 'nodeLost' : 'moved')
    if (session === undefined) session = this.openSession(command as never)
    if (command.type === 'attach') {
      const { held } = command
      this.giveBack(notHeld(session, held))
      for (const consumer of this.consumers.filter((each) => each.session === session && each.served)) {
        if (!held.some((each) => each.consumer === consumer.id && each.runs.length > 0)) this.endConsumer(consumer)
      }
    }
    session.connection = connection
    session.to = { session: session.id, node, bootId, epoch: this.minted() }
    this.tellAttached(session, nonce, connection)
    this.startBoot(node, bootId)
    this.boots.find((each) => each.node === node)!.lost = false
    if (command.type === 'openSession') this.openings.set(opening, session.id)
  }

  private openSession(command: Extract<NodeFrame, { type: 'openSession' }>): ModelSession {
    const { leaseMs, detachGraceMs, connection } = command
    const session: ModelSession = {
      id: this.minted(),
      leaseMs,
      detachGraceMs,
      connection,
      to: undefined,
      detachedAtMs: 0,
      graceOver: false,
      lastSequence: 0,
      seen: 0,
      outcomes: new Map(),
    }
    this.sessions.push(session)
    return session
  }

  private tellAttached(session: ModelSession, nonce: number, connection: number): void {
    this.expected.push({
      type: 'attached',
      to: session.to!,
      nonce,
      connection,
      lastSequence: session.lastSequence,
      outcomes: [...session.outcomes.values()],
      consumers: this.consumers.filter((each) => each.session === session).map((each) => each.id),
    })
  }

  private isFormer(node: string, bootId: number): boolean {
    return this.boots.some((each) => each.node === node && each.bootId > bootId)
  }

  private startBoot(node: string, bootId: number): void {
    if (this.boots.some((each) => each.node === node && each.bootId === bootId)) return
    this.boots = this.boots.filter((each) => each.node !== node)
    this.boots.push({ node, bootId, lost: false })
    this.detachAll((to) => to.node === node && to.bootId < bootId)
  }

  private detachAll(which: (to: Attachment) => boolean): void {
    const detached = this.sessions.filter(({ to }) => to !== undefined && which(to))
    for (const session of detached.sort((a, b) => a.to!.epoch - b.to!.epoch)) this.detach(session, 'nodeLost')
  }

  private detach(session: ModelSession, reason: Extract<Effect, { type: 'detached' }>['reason']): void {
    if (session.to === undefined) return
    this.expected.push({ type: 'detached', to: session.to, reason })
    session.to = undefined
    session.detachedAtMs = this.timeMs
    session.graceOver = false
  }

  private close(session: ModelSession, reason: 'closed' | 'expired'): void {
    this.detach(session, reason)
    this.sessions = this.sessions.filter((each) => each !== session)
    this.listeners = this.listeners.filter((each) => each.session !== session)
    for (const consumer of this.consumers.filter((each) => each.session === session)) this.endConsumer(consumer)
    for (const queue of this.queues.filter((each) => each.owner === session)) this.deleteQueue(queue)
  }

  private consumer(id: number): ModelConsumer | undefined {
    return this.consumers.find((each) => each.id === id)
  }

  private minted(): number {
    return this.index * 4096 + this.frame
  }
}

function notHeld(session: ModelSession, held: readonly HeldDeliveries[]) {
  return (consumer: ModelConsumer, delivery: number) =>
    consumer.session === session &&
    !held.some(
      (each) =>
        each.consumer === consumer.id &&
        each.runs.some(([first, count]) => delivery >= first && delivery < first + count),
    )
}

function foreign(name: string): Verdict {
  return { code: 'Precondition', message: `the queue '${name}' is exclusive to another session` }
}

/** Whether a pattern matches a topic, by definition: `*` is one word, `#` any number of them. */
export function matches(pattern: readonly string[], topic: readonly string[]): boolean {
  const [word, ...rest] = pattern
  if (word === undefined) return topic.length === 0
  if (word === '#') return topic.some((_, i) => matches(rest, topic.slice(i))) || matches(rest, [])
  return topic.length > 0 && (word === '*' || word === topic[0]) && matches(rest, topic.slice(1))
}
