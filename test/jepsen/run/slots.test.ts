import { stat } from 'node:fs'
import { beforeEach, describe, expect, it } from 'vitest'
import type { Completion, Operation } from '../../../jepsen-lite/history.ts'
import { seeded } from '../../../jepsen-lite/random.ts'
import { Pacing } from '../../../jepsen-lite/run/pacing.ts'
import { Recorder } from '../../../jepsen-lite/run/recorder.ts'
import { Slots } from '../../../jepsen-lite/run/slots.ts'
import type { OpenProcess } from '../../../jepsen-lite/workers/pool.ts'
import { eventually } from '../../support/eventually.ts'

const CONCURRENCY = 3
const never = () => new Promise<never>(() => {})

/** Answers by script, and remembers which processes had a client. */
class Clients {
  readonly opened: number[] = []
  readonly closed: number[] = []
  readonly alive = new Set<number>()
  answer: (process: number, operation: Operation) => Completion | Promise<Completion> = () => ({ type: 'ok' })
  refuse = 0
  /** Openings that never end. */
  hang = 0

  readonly open = async (_: number, process: number): Promise<OpenProcess> => {
    if (this.refuse-- > 0) throw new Error('nobody there')
    if (this.hang-- > 0) return never()
    this.opened.push(process)
    this.alive.add(process)
    const { alive } = this
    return {
      get isAlive() {
        return alive.has(process)
      },
      invoke: async (operation) => this.answer(process, operation),
      close: async () => void this.closed.push(process),
    }
  }
}

let clients: Clients
let recorder: Recorder
/** What each slot has left to do. */
let left: number[]
let drains: Operation[]

function slots(hangsMs = 60_000): Slots {
  return new Slots({
    concurrency: CONCURRENCY,
    plan: {
      next: (slot) => (left[slot]! > 0 ? { f: 'step', value: left[slot]!-- } : undefined),
      drain: () => drains,
    },
    pacing: new Pacing(0, CONCURRENCY, seeded(1)),
    recorder,
    open: clients.open,
    hangsMs,
    now: () => performance.now(),
  })
}

/** Runs until every slot has done all that it has to do, and is idle. */
async function run(made = slots()): Promise<Slots> {
  await made.open(5_000)
  made.start()
  const isDone = () => left.every((count) => count === 0) && recorder.completed === stepsOf('invoke').length
  await eventually(() => isDone() || undefined, { what: 'all steps are done' })
  await made.stop()
  return made
}

const stepsOf = (type: string) => recorder.events.filter((event) => event.type === type)

beforeEach(() => {
  clients = new Clients()
  let ns = 0
  recorder = new Recorder(() => ns++)
  left = [2, 2, 2]
  drains = []
})

describe('slots', () => {
  it('do their operations one after the other, each under its process', async () => {
    await run()
    expect(stepsOf('ok')).toHaveLength(6)
    for (const process of [0, 1, 2]) {
      const types = recorder.events.filter((event) => event.process === process).map(({ type }) => type)
      expect(types).toEqual(['invoke', 'ok', 'invoke', 'ok'])
    }
  })

  it('retire a process whose operation ended as info: its client is closed, and another number goes on', async () => {
    clients.answer = (process) => (process === 1 ? { type: 'info', error: 'Timeout' } : { type: 'ok' })
    await run()
    expect(clients.opened.sort((a, b) => a - b)).toEqual([0, 1, 2, 1 + CONCURRENCY])
    expect(clients.closed).toEqual([1])
    expect(stepsOf('invoke').map(({ process }) => process)).toContain(1 + CONCURRENCY)
  })

  it('keep a process whose operation failed', async () => {
    clients.answer = () => ({ type: 'fail', error: 'QueueFull' })
    await run()
    expect(clients.opened).toHaveLength(CONCURRENCY)
  })

  it('open a new process when a worker was killed between operations', async () => {
    clients.answer = (process) => {
      if (process === 2) clients.alive.delete(2)
      return { type: 'ok' }
    }
    await run()
    expect(clients.opened).toContain(2 + CONCURRENCY)
    expect(stepsOf('ok').map(({ process }) => process)).toContain(2 + CONCURRENCY)
  })

  it('try again as long as nobody can be connected to', async () => {
    clients.refuse = 4
    await run()
    expect(stepsOf('ok')).toHaveLength(6)
  })

  it('tell at the start which clients cannot connect at all', async () => {
    clients.refuse = Number.POSITIVE_INFINITY
    await expect(slots().open(50)).rejects.toThrow('3 clients could not connect')
  })

  it('do each operation of the drain until it succeeds', async () => {
    left = [0, 0, 0]
    drains = [
      { f: 'drain', value: 'a' },
      { f: 'drain', value: 'b' },
    ]
    const answers: Completion[] = [
      { type: 'fail', error: 'NotEmpty' },
      { type: 'info', error: 'Timeout' },
    ]
    clients.answer = () => answers.pop() ?? { type: 'ok' }
    const made = await run()
    expect(await made.drain(5_000)).toBe(0)
    expect(stepsOf('ok').filter(({ value }) => value === 'b')).toHaveLength(CONCURRENCY)
    expect(stepsOf('invoke')).toHaveLength(2 * CONCURRENCY + 2)
  })

  it('tell how many were not drained in time', async () => {
    left = [0, 0, 0]
    drains = [{ f: 'drain', value: null }]
    clients.answer = (process) => (process % CONCURRENCY === 1 ? { type: 'fail', error: 'NotEmpty' } : { type: 'ok' })
    const made = await run()
    expect(await made.drain(300)).toBe(1)
  })

  it('tell an operation that hangs, and go on with another process', async () => {
    clients.answer = (process) => (process === 1 ? never() : { type: 'ok' })
    const made = await run(slots(100))
    expect(made.hung).toEqual(['step of process 1 had no outcome in 100 ms'])
    expect(stepsOf('info')).toMatchObject([{ process: 1, error: 'Hung: no outcome within 100 ms' }])
    expect(stepsOf('ok').map(({ process }) => process)).toContain(1 + CONCURRENCY)
  })

  it('call nothing hanging that was answered while this process stood still', async () => {
    left = [0, 1, 0]
    clients.answer = () =>
      new Promise((resolve) => {
        setImmediate(() => {
          // Its answer comes at once, and is read when the standstill is over.
          stat(import.meta.filename, () => resolve({ type: 'ok' }))
          for (const end = performance.now() + 300; performance.now() < end; );
        })
      })
    const made = await run(slots(100))
    expect(made.hung).toEqual([])
    expect(stepsOf('ok')).toHaveLength(1)
  })

  it('tell the opening of a client that hangs, and go on with another process', async () => {
    clients.hang = 1
    const made = await run(slots(100))
    expect(made.hung).toEqual(['the opening of process 0 had no outcome in 100 ms'])
    expect(clients.opened.sort((a, b) => a - b)).toEqual([1, 2, CONCURRENCY])
    expect(stepsOf('ok')).toHaveLength(6)
  })

  it('end the run with what a slot throws', async () => {
    const made = slots()
    await made.open(5_000)
    clients.answer = () => Promise.reject(new TypeError('a defect'))
    made.start()
    await eventually(() => stepsOf('invoke').length > 0 || undefined, { what: 'a step was begun' })
    await expect(made.stop()).rejects.toThrow('a defect')
  })
})
