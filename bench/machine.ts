/**
 * Micro benchmark of the queue machine alone: how many messages apply takes in a second of CPU. Run it with
 * `npx tsx bench/machine.ts`, or with `node --cpu-prof --import tsx bench/machine.ts` to see where the time goes.
 *
 * CPU time, not wall time, so that neighbours on the machine do not count. Publish entries are built before the clock starts;
 * settle entries answer deliveries, so encoding them is part of the cycle.
 */
import { type Effect, encodeEntry, encodeNodeCommand, Machine } from '../node/queue/index.ts'
import { type ControlCommand, encodeControlFrame } from '../wire/control-frame.ts'
import { PublishFrameBuilder } from '../wire/publish-frame.ts'
import { encodeSettleFrame, SettleOutcome } from '../wire/settle-frame.ts'

const FRAME_MESSAGES = 100
const FRAMES = 20_000
const ROUNDS = 3
const message = new Uint8Array(128)

/** A machine with one session, and what it takes to talk to it. */
class Bench {
  readonly machine = new Machine()
  #index = 0
  #timeMs = 0
  #sequence = 1
  #tag = 0
  #session = 0
  #epoch = 0

  constructor() {
    const boot = { node: 'n1', bootId: 1, nonce: 1, connection: 1 }
    const options = { leaseMs: 60_000, detachGraceMs: 1000, name: 'bench' }
    const [opened] = this.apply(encodeNodeCommand(0, { type: 'openSession', ...boot, ...options }))
    if (opened?.type !== 'attached') throw new Error('not attached')
    this.#session = opened.to.session
    this.#epoch = opened.to.epoch
  }

  apply(...frames: Uint8Array[]): Effect[] {
    this.#timeMs += 0.5
    return this.machine.apply(++this.#index, 1, encodeEntry({ timeMs: this.#timeMs, wallMs: this.#timeMs }, frames))
  }

  control(command: ControlCommand): Effect[] {
    const stamp = { group: 0, session: this.#session, epoch: this.#epoch, seen: this.#sequence - 1 }
    return this.apply(encodeControlFrame({ ...stamp, sequence: this.#sequence++ }, command))
  }

  /** Entries of one publish frame each, as bytes. */
  publishes(topic: string, frames: number): Uint8Array[] {
    const entries: Uint8Array[] = []
    for (let i = 0; i < frames; i++) {
      const builder = new PublishFrameBuilder()
      for (let m = 0; m < FRAME_MESSAGES; m++) builder.add(topic, message)
      const stamp = { group: 0, session: this.#session, epoch: this.#epoch, sequence: this.#sequence, seen: 0 }
      this.#sequence += FRAME_MESSAGES
      this.#timeMs += 0.5
      entries.push(encodeEntry({ timeMs: this.#timeMs, wallMs: this.#timeMs }, [builder.finish(stamp)]))
    }
    return entries
  }

  applyBytes(entry: Uint8Array): Effect[] {
    return this.machine.apply(++this.#index, 1, entry)
  }

  settleEntry(consumer: number, firstDelivery: number, count: number): Uint8Array {
    const stamp = { group: 0, session: this.#session, epoch: this.#epoch, tag: ++this.#tag, seen: 0 }
    const item = { consumer, firstDelivery, count, outcome: SettleOutcome.accepted, ms: 0 }
    return encodeEntry({ timeMs: this.#timeMs, wallMs: this.#timeMs }, [encodeSettleFrame(stamp, [item])])
  }
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

function report(name: string, messages: number, startMs: number): void {
  const elapsedMs = cpuMs() - startMs
  const perSecond = Math.round((messages / elapsedMs) * 1000)
  const perMessage = ((elapsedMs / messages) * 1000).toFixed(3)
  console.log(`${name.padEnd(44)} ${perSecond.toLocaleString('en').padStart(12)} msgs/s  ${perMessage} µs each`)
}

function publishToOneQueue(): void {
  const bench = new Bench()
  bench.control({ type: 'declareQueue', queue: 'q' })
  bench.control({ type: 'bind', queue: 'q', pattern: 'orders.*' })
  const entries = bench.publishes('orders.created', FRAMES)
  const startMs = cpuMs()
  for (const entry of entries) bench.applyBytes(entry)
  report('publish, one queue', FRAMES * FRAME_MESSAGES, startMs)
}

function fullCycle(): void {
  const bench = new Bench()
  bench.control({ type: 'declareQueue', queue: 'q' })
  bench.control({ type: 'bind', queue: 'q', pattern: 'orders.*' })
  bench.control({ type: 'consume', queue: 'q', prefetch: 1000, visibilityTimeoutMs: 30_000 })
  const entries = bench.publishes('orders.created', FRAMES)
  let settled = 0
  const startMs = cpuMs()
  for (const entry of entries) {
    for (const effect of bench.applyBytes(entry)) {
      if (effect.type !== 'deliver') continue
      bench.applyBytes(bench.settleEntry(effect.consumer, effect.firstDelivery, effect.indexes.length))
      settled += effect.indexes.length
    }
  }
  report('publish, deliver, settle; prefetch 1000', settled, startMs)
  if (bench.machine.queueStats('q')!.unsettled !== 0) throw new Error('not everything was settled')
}

function fanOut(queues: number): void {
  const bench = new Bench()
  for (let i = 0; i < queues; i++) {
    bench.control({ type: 'declareQueue', queue: `q${i}` })
    bench.control({ type: 'bind', queue: `q${i}`, pattern: 'orders.#' })
    bench.control({ type: 'consume', queue: `q${i}`, prefetch: 1000, visibilityTimeoutMs: 30_000 })
  }
  const entries = bench.publishes('orders.created', FRAMES / queues)
  let settled = 0
  const startMs = cpuMs()
  for (const entry of entries) {
    for (const effect of bench.applyBytes(entry)) {
      if (effect.type !== 'deliver') continue
      bench.applyBytes(bench.settleEntry(effect.consumer, effect.firstDelivery, effect.indexes.length))
      settled += effect.indexes.length
    }
  }
  report(`the same, fan-out to ${queues} queues (deliveries)`, settled, startMs)
}

for (let round = 0; round < ROUNDS; round++) {
  publishToOneQueue()
  fullCycle()
  fanOut(5)
}
