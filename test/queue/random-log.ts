/**
 * Random logs for the property tests. An operation is a handful of small numbers; which session, consumer or delivery they mean is
 * decided against the model as the log is written, so that most operations make sense and some just miss.
 */

import type { ControlCommand } from '../../wire/control-frame.ts'
import type { HeldDeliveries } from '../../wire/session-frames.ts'
import type { SettleItem, SettleOutcome } from '../../wire/settle-frame.ts'
import { fc } from '../support/property.ts'
import type { TestFrame } from './frames.ts'
import type { Model, ModelConsumer, ModelSession } from './model.ts'

const NODES = ['n1', 'n2']
const QUEUES = ['a', 'b.c', 'd', 'no good']
const PATTERNS = ['x.*', 'x.#', '#', 'x.y', '*.y', '#.z.#', 'x..y']
const LONG = { leaseMs: 2000, detachGraceMs: 100 }
const TOPICS = ['x.y', 'x.y', 'x.z', 'w', 'x', 'x.z.z', 'not good']
/** Repeated names are more likely. */
const CONTROLS = [
  ...['consume', 'declareQueue', 'bind', 'consume', 'bind', 'listen'],
  ...['cancel', 'declareQueue', 'unlisten', 'consume', 'unbind', 'deleteQueue', 'receive', 'receive'],
] as const

/** What to do, as numbers that mean what the state makes of them. */
export interface Operation {
  readonly type: (typeof TYPES)[number]
  readonly a: number
  readonly b: number
  readonly c: number
  readonly topics: readonly number[]
  /** Rarely something that must not work: an old epoch, a gap, a repeat. */
  readonly twist: number
}

export interface LogEntry {
  readonly elapsedMs: number
  readonly operations: readonly Operation[]
}

/** Repeated names are more likely. */
const TYPES = [
  ...([
    'publish',
    'publish',
    'publish',
    'publish',
    'settle',
    'settle',
    'settle',
    'settle',
    'settle',
    'settle',
  ] as const),
  ...([
    'control',
    'control',
    'attach',
    'attach',
    'attach',
    'detach',
    'open',
    'nodeStarted',
    'nodeLost',
    'close',
  ] as const),
] as const

const small = fc.nat({ max: 13 })
const operation: fc.Arbitrary<Operation> = fc.record({
  type: fc.constantFrom(...TYPES),
  a: small,
  b: small,
  c: small,
  topics: fc.array(fc.nat({ max: TOPICS.length - 1 }), { minLength: 1, maxLength: 5 }),
  twist: fc.nat({ max: 40 }),
})

const entry: fc.Arbitrary<LogEntry> = fc.record({
  elapsedMs: fc.constantFrom(0, 1, 1, 1, 1, 5, 20, 20, 60, 100, 400, 1500),
  operations: fc.array(operation, { minLength: 1, maxLength: 6 }),
})

export const randomLog: fc.Arbitrary<LogEntry[]> = fc.array(entry, { minLength: 1, maxLength: 60, size: 'max' })

/**
 * How every log begins: three sessions on two nodes, three bound queues, consumers that compete. One frame an entry, so that the
 * frame at index i mints i × 4096.
 */
export const opening: readonly TestFrame[] = [
  ...[0, 1, 0].map((n, i) =>
    nodeFrame({ type: 'openSession', nonce: i, connection: 1, name: 's', ...LONG, ...bootOf(n) }),
  ),
  ...openingOf(1, [
    { type: 'declareQueue', queue: 'a' },
    { type: 'bind', queue: 'a', pattern: 'x.#' },
    { type: 'consume', queue: 'a', prefetch: 3, visibilityTimeoutMs: 1000 },
    { type: 'consume', queue: 'a', prefetch: 2, visibilityTimeoutMs: 100 },
    { type: 'listen', pattern: 'x.*' },
  ]),
  ...openingOf(2, [
    { type: 'declareQueue', queue: 'b.c', durable: false },
    { type: 'bind', queue: 'b.c', pattern: '#' },
    { type: 'consume', queue: 'a', prefetch: 4, visibilityTimeoutMs: 100 },
    { type: 'consume', queue: 'b.c', prefetch: 2, visibilityTimeoutMs: 1000 },
  ]),
  ...openingOf(3, [
    { type: 'declareQueue', queue: 'd', exclusive: true },
    { type: 'bind', queue: 'd', pattern: '*.y' },
    { type: 'bind', queue: 'd', pattern: 'x.*' },
    { type: 'consume', queue: 'd', prefetch: 50, visibilityTimeoutMs: 1000 },
  ]),
]

function bootOf(node: number) {
  return { node: NODES[node]!, bootId: 3 }
}

function openingOf(openedAt: number, commands: readonly ControlCommand[]): TestFrame[] {
  const sender = { session: openedAt * 4096, epoch: openedAt * 4096, seen: 0 }
  return commands.map((command, i) => ({ kind: 'control', ...sender, sequence: i + 1, command }))
}

function pick<T>(items: readonly T[], n: number): T | undefined {
  return items[n % Math.max(1, items.length)]
}

/** The frame that an operation means in this state; undefined if it means nothing. */
export function frameOf(model: Model, operation: Operation): TestFrame | undefined {
  const { type, a, b, c, twist } = operation
  const node = pick(NODES, b)!
  const latest = model.boots.find((each) => each.node === node)?.bootId ?? 3
  const boot = { node, bootId: latest + (twist === 0 ? -1 : twist === 1 ? 1 : type === 'nodeStarted' ? c % 3 : 0) }
  const session = sessionFor(model, operation)
  switch (type) {
    case 'open': {
      if (model.sessions.length > 5) return undefined
      const delays = { leaseMs: pick([400, 2000], c)!, detachGraceMs: pick([0, 50, 1000], c)! }
      return nodeFrame({ type: 'openSession', nonce: a, connection: 1, name: 's', ...delays, ...boot })
    }
    case 'nodeStarted':
      return a < 9 ? undefined : nodeFrame({ type: 'nodeStarted', ...boot })
    case 'nodeLost':
      return a < 9 ? undefined : nodeFrame({ type: 'nodeLost', ...boot })
    case 'attach': {
      const connection = Math.max(0, (session?.connection ?? 1) + (twist < 4 ? -1 : twist < 8 ? 0 : 1))
      const held = session === undefined ? [] : heldOf(model, session, c)
      return nodeFrame({ type: 'attach', nonce: c, session: session?.id ?? 77, connection, held, ...boot })
    }
    case 'detach':
      return (
        session && nodeFrame({ type: 'detach', session: session.id, epoch: (session.to?.epoch ?? 0) - +(twist === 0) })
      )
    case 'close':
      return session && a > 10 ? controlFrame(session, { type: 'closeSession' }, twist) : undefined
    case 'publish': {
      const topics = operation.topics.map((i) => TOPICS[i]!)
      return session && { ...stamp(session, twist), kind: twist === 30 || twist === 2 ? 'refused' : 'publish', topics }
    }
    case 'control':
      return session && controlFrame(session, commandOf(model, session, operation), twist)
    case 'settle':
      return (
        session && { ...stamp(session, twist), kind: 'settle', tag: b, items: settlesOf(model, session, operation) }
      )
  }
}

/** One for which the operation makes sense, if there is one; any other one in ten. */
function sessionFor(model: Model, { type, a, c, twist }: Operation): ModelSession | undefined {
  const fits = model.sessions.filter((session) => {
    if (type === 'attach') return session.to === undefined
    if (type === 'settle') return session.to !== undefined && openOfSession(model, session) > 0
    return session.to !== undefined
  })
  return pick(fits.length === 0 || twist % 10 === 9 ? model.sessions : fits, a + c)
}

function openOfSession(model: Model, session: ModelSession): number {
  const own = model.consumers.filter((each) => each.session === session)
  return own.reduce((sum, consumer) => sum + model.openOf(consumer).length, 0)
}

function nodeFrame(command: Extract<TestFrame, { kind: 'node' }>['command']): TestFrame {
  return { kind: 'node', command }
}

function controlFrame(session: ModelSession, command: ControlCommand, twist: number): TestFrame {
  return { ...stamp(session, twist), kind: 'control', command }
}

function stamp(session: ModelSession, twist: number) {
  const shift = [0, 0, 1, -1, -2, -4][twist] ?? 0
  return {
    session: session.id,
    epoch: (session.to?.epoch ?? 1) - +(twist === 0),
    sequence: Math.max(1, session.lastSequence + 1 + shift),
    seen: twist % 4 === 0 ? session.lastSequence - (twist % 3) : 0,
  }
}

function commandOf(model: Model, session: ModelSession, { b, c, topics }: Operation): ControlCommand {
  const type = pick(CONTROLS, b)!
  const queue = pick(QUEUES, c)!
  const pattern = pick(PATTERNS, c + topics.length)!
  switch (type) {
    case 'declareQueue':
      return { type, queue, durable: c !== 1, exclusive: c === 2 || c === 6 }
    case 'bind':
    case 'unbind':
      return { type, queue, pattern }
    case 'consume':
      return { type, queue, prefetch: pick([1, 2, 3, 50], topics[0]!)!, visibilityTimeoutMs: 100 + 900 * (c % 2) }
    case 'receive': {
      const waitMs = pick([0, 50, 0, 400], topics.length)!
      return { type, queue, max: pick([1, 2, 3], topics[0]!)!, waitMs, visibilityTimeoutMs: 100 + 900 * (c % 2) }
    }
    case 'cancel':
      return { type, consumer: consumerOf(model, session, c)?.id ?? 5 }
    case 'listen':
      return { type, pattern }
    case 'unlisten':
      return { type, listener: pick(model.listeners, c)?.id ?? 5 }
    case 'deleteQueue':
      return { type, queue: topics.length > 2 ? queue : 'b.c' }
  }
}

/** Mostly one of the session's own. */
function consumerOf(model: Model, session: ModelSession, n: number): ModelConsumer | undefined {
  const own = model.consumers.filter((each) => each.session === session)
  const busy = own.filter((each) => model.openOf(each).length > 0)
  return pick(n === 11 ? model.consumers : busy.length === 0 ? own : busy, n)
}

function settlesOf(model: Model, session: ModelSession, { a, b, c, topics }: Operation): SettleItem[] {
  return topics.map((topic) => {
    const consumer = consumerOf(model, session, c + topic)
    const open = consumer === undefined ? [] : model.openOf(consumer)
    const firstDelivery = pick(open, b)?.state.delivery ?? Math.max(1, b)
    const outcome = pick([1, 1, 2, 1, 3, 4, 2], b + topic)! as SettleOutcome
    const ms = outcome === 2 ? pick([0, 0, 30, 500], a)! : outcome === 4 ? pick([0, 60, 3000], a)! : 0
    return { consumer: consumer?.id ?? 3, firstDelivery, count: topic, outcome, ms }
  })
}

function heldOf(model: Model, session: ModelSession, c: number): HeldDeliveries[] {
  const own = model.consumers.filter((each) => each.session === session)
  if (c < 3) return []
  return own.map((consumer) => {
    const first = Math.max(1, consumer.lastDelivery - c)
    const all = model.openOf(consumer).map(({ state }) => [state.delivery, 1] as const)
    return {
      consumer: consumer.id,
      runs:
        c < 7
          ? all
          : [
              [first + 2, c - 5],
              [first, 1 + (c % 3)],
            ],
    }
  })
}
