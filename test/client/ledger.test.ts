import { expect, it } from 'vitest'
import { type Client, connectWith, type MeshError } from '../../client/index.ts'
import { fc } from '../support/property.ts'
import { Judge } from './support/judge.ts'
import { ManualClock } from './support/manual-clock.ts'
import { watched } from './support/scene.ts'
import { ScriptedNode } from './support/scripted-node.ts'

type Step =
  | { readonly do: 'publish'; readonly count: number; readonly timeoutMs: number }
  | { readonly do: 'apply'; readonly frames: number }
  | { readonly do: 'tell' }
  | { readonly do: 'drop'; readonly survivors: number }
  | { readonly do: 'greet' }
  | { readonly do: 'loseSession' }
  | { readonly do: 'wait'; readonly ms: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('publish' as const),
      count: fc.integer({ min: 1, max: 5 }),
      timeoutMs: fc.constantFrom(20, 200, 1e6),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('apply' as const), frames: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('tell' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('drop' as const), survivors: fc.nat(3) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('greet' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('loseSession' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1, 30, 300) }) },
)

class Run {
  readonly clock = new ManualClock()
  readonly node = new ScriptedNode()
  readonly judge = new Judge(this.node)
  readonly published: { readonly body: number; readonly state: ReturnType<typeof watched<{ id: string }>> }[] = []
  client!: Client

  async start(maxInFlight: number): Promise<void> {
    const connecting = connectWith(
      this.node.openSocket,
      { servers: ['ws://a:1', 'ws://b:2'], maxInFlight, reconnect: { initialMs: 2, maxMs: 2 } },
      this.clock,
    )
    await this.clock.settle()
    this.judge.greet(false)
    await this.clock.settle()
    this.client = await connecting
  }

  async take(step: Step): Promise<void> {
    if (step.do === 'publish') this.#publish(step.count, step.timeoutMs)
    else if (step.do === 'apply') this.judge.apply(step.frames)
    else if (step.do === 'tell') this.judge.tell()
    else if (step.do === 'drop') this.judge.drop(step.survivors)
    else if (step.do === 'greet') this.judge.greet(false)
    else if (step.do === 'loseSession') await this.#loseSession()
    else await this.clock.advance(step.ms)
    await this.clock.settle()
  }

  /** All faults end; whatever can still become known does. */
  async heal(): Promise<void> {
    for (let i = 0; i < 200; i++) {
      await this.clock.advance(5)
      this.judge.greet(false)
      await this.clock.settle()
      this.judge.apply(1_000)
      this.judge.tell()
      await this.clock.settle()
      if (i > 5 && this.published.every(({ state }) => state.isSettled)) break
    }
    await this.clock.settle()
    this.judge.apply(1_000)
  }

  async #loseSession(): Promise<void> {
    this.judge.drop(0)
    await this.clock.advance(3)
    this.judge.greet(true)
  }

  #publish(count: number, timeoutMs: number): void {
    for (let i = 0; i < count; i++) {
      const body = this.published.length + 1
      this.published.push({ body, state: watched(this.client.publish('a', body, { timeoutMs })) })
    }
  }
}

it('whatever breaks: what was confirmed happened once and in order, what was "not applied" did not, and nobody waits for ever', async () => {
  const seen = { confirmed: 0, refused: 0, unknown: 0, unsent: 0, lost: 0 }
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 60 }),
      fc.constantFrom(3, 1_000),
      async (steps, maxInFlight) => {
        const run = new Run()
        await run.start(maxInFlight)
        for (const each of steps) await run.take(each)
        await run.heal()
        const applied = byBody(run.judge.applied)
        for (const { body, state } of run.published) {
          const times = applied.get(body) ?? []
          const error = state.error as MeshError | undefined
          expect(state.isSettled).toBe(true)
          if (error === undefined) {
            expect(times.map(({ id }) => id)).toEqual([state.value!.id])
            seen.confirmed++
          } else if (error.outcome === 'not-applied') {
            expect(times).toEqual([])
            if (error.code === 'LimitExceeded') seen.refused++
            else seen.unsent++
          } else {
            expect(error.outcome).toBe('unknown')
            // Unless its session was lost, it was sent until it was judged.
            if (error.code === 'SessionLost') seen.lost++
            else seen.unknown++
            expect(times.length).toBeLessThanOrEqual(1)
          }
        }
        const order = run.judge.applied.map(({ body }) => body)
        expect(order).toEqual([...order].sort((a, b) => a - b))
        await Promise.all([run.client.close(), run.clock.advance(3_000)])
        expect(run.clock.timers).toBe(0)
      },
    ),
    { numRuns: 300 },
  )
  // A property that never met one of the cases would say nothing about it.
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(10)
}, 60_000)

function byBody<T extends { readonly body: number }>(all: readonly T[]): Map<number, T[]> {
  const map = new Map<number, T[]>()
  for (const each of all) map.set(each.body, [...(map.get(each.body) ?? []), each])
  return map
}
