/**
 * Random logs on the machine and on the model side by side: whatever the machine does, the model must have said so.
 */
import { expect } from 'vitest'
import { type Effect, Machine } from '../../node/queue/index.ts'
import { encodeFrame, entryOf, type TestFrame } from './frames.ts'
import { Model, matches } from './model.ts'
import { frameOf, type LogEntry, opening } from './random-log.ts'

/** The end of every log: time stands still for an entry, then all sessions expire. */
const QUIET: LogEntry[] = [0, 0, 500, 5000, 0].map((elapsedMs) => ({ elapsedMs, operations: [] }))

/** Applies the log to both, comparing them after every entry, and lets `after` look at both. Returns the bytes of the entries and what became of them. */
export function applyToBoth(
  log: readonly LogEntry[],
  after: (machine: Machine, model: Model, index: number) => void = () => {},
): { entries: Uint8Array[]; effects: Effect[][]; machine: Machine } {
  const machine = new Machine()
  const model = new Model()
  const entries: Uint8Array[] = []
  const effects: Effect[][] = []
  let timeMs = 0
  const applyEntry = (elapsedMs: number, nextFrames: readonly (() => TestFrame | undefined)[]) => {
    timeMs += elapsedMs
    model.begin(entries.length + 1, timeMs)
    const frames: Uint8Array[] = []
    for (const nextFrame of nextFrames) {
      const frame = nextFrame()
      if (frame === undefined) continue
      model.apply(frame)
      frames.push(encodeFrame(frame))
    }
    const entry = entryOf(timeMs, frames)
    entries.push(entry)
    effects.push(machine.apply(entries.length, 1, entry))
    compare(machine, model, effects.at(-1)!)
    after(machine, model, entries.length)
  }
  for (const frame of opening) applyEntry(1, [() => frame])
  for (const { elapsedMs, operations } of [...log, ...QUIET]) {
    applyEntry(
      elapsedMs,
      operations.map((operation) => () => frameOf(model, operation)),
    )
  }
  // Small logs leave no work behind, and no timer runs again and again at the same time.
  expect(machine.nextTimerMs() ?? Number.POSITIVE_INFINITY).toBeGreaterThan(machine.timeMs)
  return { entries, effects, machine }
}

function compare(machine: Machine, model: Model, effects: readonly Effect[]): void {
  const deliveries = effects.filter((effect) => effect.type === 'deliver')
  const received = effects.filter((effect) => effect.type === 'received')
  expect(effects.filter(({ type }) => type !== 'deliver' && type !== 'received')).toEqual(model.expected)
  expect(model.acceptDeliveries(deliveries)).toEqual([])
  expect(received.sort((a, b) => a.consumer - b.consumer)).toEqual(model.judgeReceives())
  compareQueues(machine, model)
  compareSessions(machine, model)
  expectConservation(machine, model)
  expect(machine.nextTimerMs() ?? Number.POSITIVE_INFINITY).toBeLessThanOrEqual(
    model.dueMs() ?? Number.POSITIVE_INFINITY,
  )
}

function compareQueues(machine: Machine, model: Model): void {
  expect(machine.queueNames()).toEqual(model.queues.map((each) => each.name).sort())
  for (const queue of model.queues) {
    const messages = model.messages.filter((each) => each.queue === queue)
    const count = (is: string) => messages.filter((each) => each.state.is === is).length
    expect(machine.queueStats(queue.name)).toMatchObject({
      durable: queue.durable,
      exclusive: queue.owner !== undefined,
      ready: count('ready'),
      unsettled: count('open'),
      delayed: count('delayed'),
      consumers: model.consumers.filter((each) => each.queue === queue && each.waitUntilMs === undefined).length,
      bindings: [...queue.patterns].sort(),
    })
  }
}

function compareSessions(machine: Machine, model: Model): void {
  expect([...machine.bootsOf()].sort(byNode)).toEqual([...model.boots].sort(byNode))
  for (const session of model.sessions) {
    expect(machine.session(session.id)).toMatchObject({
      attachment: session.to,
      connection: session.connection,
      lastSequence: session.lastSequence,
      outcomes: session.outcomes.size,
      unsettled: model.consumers
        .filter((each) => each.session === session)
        .reduce((sum, consumer) => sum + model.openOf(consumer).length, 0),
    })
  }
  for (const { node } of model.boots) {
    const attached = [...machine.sessionsOf(node)].map((each) => each.session).sort()
    expect(attached).toEqual(
      model.sessions
        .filter(({ to }) => to?.node === node)
        .map(({ id }) => id)
        .sort(),
    )
  }
  for (const topic of ['x.y', 'w', 'x.z.z']) {
    const heard = model.listeners.filter(
      ({ session, pattern }) => session.to !== undefined && matches(pattern.split('.'), topic.split('.')),
    )
    expect(machine.listeners(topic)).toEqual(
      heard.map(({ id, session }) => ({ session: session.id, listener: id, to: session.to })),
    )
  }
}

/** ready + unsettled + delayed + settled + dropped = routed copies, by the machine's own count and by the model's. */
function expectConservation(machine: Machine, model: Model): void {
  const { acked, rejected, dropped, routedCopies } = machine.totals
  let held = 0
  for (const name of machine.queueNames()) {
    const { ready, unsettled, delayed } = machine.queueStats(name)!
    held += ready + unsettled + delayed
  }
  expect(held + acked + rejected + dropped).toBe(routedCopies)
  expect(routedCopies).toBe(model.copies)
  expect({ acked, rejected, dropped }).toEqual(model.gone)
}

function byNode(a: { node: string }, b: { node: string }): number {
  return a.node < b.node ? -1 : 1
}
