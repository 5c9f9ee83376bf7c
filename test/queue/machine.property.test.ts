import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Effect, Machine } from '../../node/queue/index.ts'
import { encodeFrame, entryOf, type TestFrame } from './frames.ts'
import { Model, matches } from './model.ts'
import { frameOf, type LogEntry, opening, randomLog } from './random-log.ts'

const RUNS = 200
/** The end of every log: time stands still for an entry, then all sessions expire. */
const QUIET: LogEntry[] = [0, 0, 500, 5000, 0].map((elapsedMs) => ({ elapsedMs, operations: [] }))

/** Applies the log to both, comparing them after every entry. Returns the bytes of the entries and what became of them. */
function applyToBoth(log: readonly LogEntry[]): { entries: Uint8Array[]; effects: Effect[][]; machine: Machine } {
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
  expect(effects.filter((effect) => effect.type !== 'deliver')).toEqual(model.expected)
  expect(model.acceptDeliveries(deliveries)).toEqual([])
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
      consumers: model.consumers.filter((each) => each.queue === queue).length,
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

describe('random logs', () => {
  it('reach every kind of effect and every way that a message can go', () => {
    const kinds = new Set<string>()
    const totals = new Set<string>()
    for (const log of fc.sample(randomLog, { numRuns: 60, seed: 7 })) {
      const { effects, machine } = applyToBoth(log)
      for (const effect of effects.flat()) {
        kinds.add(effect.type)
        if (effect.type === 'detached') kinds.add(effect.reason)
        if (effect.type === 'outcome') kinds.add(effect.outcome.code ?? 'ok')
        if (effect.type === 'attachRefused') kinds.add(`refused ${effect.code}`)
      }
      for (const [name, total] of Object.entries(machine.totals)) if (total > 0) totals.add(name)
    }
    const refusals = ['NotFound', 'Precondition', 'Validation', 'ok', 'refused Precondition', 'refused SessionLost']
    const reasons = ['closed', 'moved', 'nodeLost', 'socketClosed']
    const types = ['attachRefused', 'attached', 'bootRefused', 'cancelled', 'confirm', 'deliver', 'detached', 'gap']
    expect([...kinds].sort()).toEqual([...refusals, ...reasons, ...types, 'outcome', 'settled', 'staleFrame'].sort())
    expect([...totals].sort()).toEqual(Object.keys(new Machine().totals).sort())
  })
})

describe('the machine', () => {
  it('does what the naive model does, after every entry of random logs', () => {
    fc.assert(
      fc.property(randomLog, (log) => {
        applyToBoth(log)
      }),
      { numRuns: RUNS },
    )
  })

  it('gives the same effects and the same hash when a log is applied again', () => {
    fc.assert(
      fc.property(randomLog, (log) => {
        const { entries, effects, machine } = applyToBoth(log)
        const replica = new Machine()
        for (const [i, entry] of entries.entries()) {
          expect(replica.apply(i + 1, 7, Uint8Array.from(entry))).toEqual(effects[i])
        }
        expect(replica.stateHash()).toBe(machine.stateHash())
      }),
      { numRuns: RUNS / 5 },
    )
  })
})
