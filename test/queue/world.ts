/** A machine and its clients, for tests that tell a story: each call is one entry, and returns the effects of it. */
import { type Effect, Machine, type NodeCommand } from '../../node/queue/index.ts'
import type { ControlCommand } from '../../wire/control-frame.ts'
import type { HeldDeliveries } from '../../wire/session-frames.ts'
import { type SettleItem, SettleOutcome } from '../../wire/settle-frame.ts'
import { encodeFrame, entryOf, type TestFrame } from './frames.ts'

export type Deliver = Extract<Effect, { type: 'deliver' }>
type Attached = Extract<Effect, { type: 'attached' }>

interface Where {
  readonly node?: string
  readonly bootId?: number
}

export class World {
  readonly machine = new Machine()
  /** Every entry so far, for replicas. */
  readonly entries: Uint8Array[] = []
  timeMs = 1000
  #nonces = 0

  /** One entry with these frames. */
  apply(...frames: TestFrame[]): Effect[] {
    return this.applyBytes(
      entryOf(
        this.timeMs,
        frames.map((frame) => encodeFrame(frame)),
      ),
    )
  }

  applyBytes(entry: Uint8Array): Effect[] {
    this.entries.push(entry)
    return this.machine.apply(this.entries.length, 1, entry)
  }

  node(command: NodeCommand): Effect[] {
    return this.apply({ kind: 'node', command })
  }

  /** Lets time pass, and the machine see it. */
  advance(ms: number): Effect[] {
    this.timeMs += ms
    return this.node({ type: 'advance' })
  }

  /** Entries until no work is left, as the leader would propose them. Returns how many that took, and all their effects. */
  finish(): { entries: number; effects: Effect[] } {
    const effects: Effect[] = []
    let entries = 0
    for (; (this.machine.nextTimerMs() ?? Number.POSITIVE_INFINITY) <= this.machine.timeMs; entries++) {
      if (entries > 1000) throw new Error('work without end')
      effects.push(...this.advance(0))
    }
    return { entries, effects }
  }

  open(options: Where & { readonly leaseMs?: number; readonly detachGraceMs?: number } = {}): Client {
    const { node = 'n1', bootId = 1, leaseMs = 60_000, detachGraceMs = 1000 } = options
    const times = { leaseMs, detachGraceMs }
    const nonce = ++this.#nonces
    const [effect] = this.node({ type: 'openSession', nonce, connection: 1, name: 'c', node, bootId, ...times })
    if (effect?.type !== 'attached') throw new Error('the session was not opened')
    return new Client(this, effect)
  }

  /** The same entries again, on a machine of its own. */
  replica(): Machine {
    const machine = new Machine()
    for (const [i, entry] of this.entries.entries()) machine.apply(i + 1, 1, entry)
    return machine
  }
}

export class Client {
  readonly #world: World
  readonly session: number
  epoch: number
  connection = 1
  sequence = 1
  seen = 0

  constructor(world: World, { to }: Attached) {
    this.#world = world
    this.session = to.session
    this.epoch = to.epoch
  }

  publish(...topics: string[]): Effect[] {
    return this.#world.apply(this.publishFrame(...topics))
  }

  publishFrame(...topics: string[]): TestFrame {
    const frame = this.publishAt(this.sequence, ...topics)
    this.sequence += topics.length
    return frame
  }

  publishAt(sequence: number, ...topics: string[]): TestFrame {
    return { kind: 'publish', session: this.session, epoch: this.epoch, sequence, seen: this.seen, topics }
  }

  control(command: ControlCommand): Effect[] {
    return this.#world.apply(this.controlFrame(command))
  }

  controlFrame(command: ControlCommand, sequence = this.sequence++): TestFrame {
    return { kind: 'control', session: this.session, epoch: this.epoch, sequence, seen: this.seen, command }
  }

  /** Declares a queue and binds it. */
  queue(queue: string, pattern: string, settings: { durable?: boolean; exclusive?: boolean } = {}): void {
    this.control({ type: 'declareQueue', queue, ...settings })
    this.control({ type: 'bind', queue, pattern })
  }

  /** Starts a consumer. Returns its id and what it gets at once. */
  consume(queue: string, prefetch = 100, visibilityTimeoutMs = 30_000): { consumer: number; effects: Effect[] } {
    const effects = this.control({ type: 'consume', queue, prefetch, visibilityTimeoutMs })
    return { consumer: resultOf(effects).consumer as number, effects }
  }

  /** Starts a receive. Returns its consumer's id and what comes of it at once. */
  receive(queue: string, max = 1, waitMs = 0, visibilityTimeoutMs = 30_000): { consumer: number; effects: Effect[] } {
    const effects = this.control({ type: 'receive', queue, max, waitMs, visibilityTimeoutMs })
    return { consumer: resultOf(effects).consumer as number, effects }
  }

  settle(consumer: number, firstDelivery: number, count: number, outcome = 'accepted' as Outcome, ms = 0): Effect[] {
    return this.settleItems({ consumer, firstDelivery, count, outcome: SettleOutcome[outcome], ms })
  }

  settleItems(...items: SettleItem[]): Effect[] {
    return this.#world.apply(this.settleFrame(...items))
  }

  settleFrame(...items: SettleItem[]): TestFrame {
    return { kind: 'settle', session: this.session, epoch: this.epoch, tag: 9, seen: this.seen, items }
  }

  detach(): Effect[] {
    return this.#world.node({ type: 'detach', session: this.session, epoch: this.epoch })
  }

  attach(held: readonly HeldDeliveries[] = [], where: Where & { connection?: number } = {}): Effect[] {
    const { node = 'n1', bootId = 1, connection = this.connection + 1 } = where
    const effects = this.#world.node({
      type: 'attach',
      nonce: 2,
      session: this.session,
      connection,
      held,
      node,
      bootId,
    })
    const attached = effects.find((effect) => effect.type === 'attached')
    if (attached === undefined) return effects
    this.epoch = attached.to.epoch
    this.connection = connection
    return effects
  }
}

type Outcome = keyof typeof SettleOutcome

export function deliveriesOf(effects: readonly Effect[]): Deliver[] {
  return effects.filter((effect) => effect.type === 'deliver')
}

/** The messages delivered, as [log index, number in the frame]. */
export function messagesOf(effects: readonly Effect[]): [number, number][] {
  return deliveriesOf(effects).flatMap(({ indexes, positions }) =>
    indexes.map((index, i): [number, number] => [index, positions[i]! % 2 ** 20]),
  )
}

export function resultOf(effects: readonly Effect[]): Readonly<Record<string, unknown>> {
  const effect = effects.find((each) => each.type === 'outcome')
  if (effect?.outcome.result === undefined) throw new Error(`no result in ${JSON.stringify(effects)}`)
  return effect.outcome.result
}

/** What receives got in these effects: consumer and count. */
export function receivedOf(effects: readonly Effect[]): [consumer: number, count: number][] {
  return effects.flatMap((each): [number, number][] => (each.type === 'received' ? [[each.consumer, each.count]] : []))
}

/** The code of the first outcome; 'ok' for a success. */
export function codeOf(effects: readonly Effect[]): string {
  const effect = effects.find((each) => each.type === 'outcome')
  return effect === undefined ? 'none' : (effect.outcome.code ?? 'ok')
}

/** The runs that a settle found not open. */
export function staleOf(effects: readonly Effect[]): readonly (readonly number[])[] {
  const effect = effects.find((each) => each.type === 'settled')
  if (effect === undefined) throw new Error('no settled effect')
  return effect.notice.stale
}

export function typesOf(effects: readonly Effect[]): string[] {
  return effects.map((effect) => effect.type)
}
