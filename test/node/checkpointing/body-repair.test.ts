import { beforeEach, describe, expect, it } from 'vitest'
import { BodyRepair } from '../../../node/checkpointing/body-repair.ts'
import { entryAt, HandClock, Peer, rest, silent, Wire } from './support.ts'

describe('the repair of bodies', () => {
  let clock: HandClock
  let wire: Wire
  let own: Peer
  let others: Peer[]
  let repair: BodyRepair

  beforeEach(() => {
    clock = new HandClock()
    wire = new Wire()
    own = new Peer('n1', wire, clock)
    others = ['n2', 'n3'].map((id) => new Peer(id, wire, clock))
    const onFatal = (error: unknown) => void own.fatal.push(error)
    repair = new BodyRepair({ clock, logger: silent, onFatal, bodies: own.bodies, peers: () => ['n2', 'n3'] })
  })

  it('fetches what is missing from whoever has it, and calls back those who wait', async () => {
    others[0]!.entries.log.set(5, entryAt(5))
    others[1]!.entries.kept.set(9, entryAt(9))
    const called: number[] = []
    repair.want(5, () => called.push(5))
    repair.want(9, () => called.push(9))
    repair.want(9, () => called.push(9))
    expect(repair.missing).toBe(2)
    await clock.advance(500)
    expect(called.sort()).toEqual([5, 9, 9])
    expect(own.entries.kept.get(5)).toEqual(entryAt(5))
    expect(own.entries.kept.get(9)).toEqual(entryAt(9))
    expect(repair).toMatchObject({ missing: 0, repaired: 2, missingLong: 0 })
  })

  it('fetches what is wanted in the moment in which nothing else is missing any more', async () => {
    for (const index of [5, 6]) others[0]!.entries.log.set(index, entryAt(index))
    repair.want(5, () => queueMicrotask(() => repair.want(6)))
    for (let second = 0; second < 3; second++) await clock.advance(1_000)
    expect(repair).toMatchObject({ missing: 0, repaired: 2 })
  })

  it('goes on as long as nobody has it, and says so', async () => {
    repair.want(5)
    await rest()
    expect(repair).toMatchObject({ missing: 1, missingLong: 0 })
    for (let second = 0; second < 30; second++) await clock.advance(1_000)
    expect(repair.missingLong).toBe(1)
    // Ever more seldom: a second's pause became many.
    expect(wire.requests.length).toBeLessThan(40)
    others[1]!.entries.log.set(5, entryAt(5))
    repair.peerUp()
    await rest()
    expect(repair).toMatchObject({ missing: 0, missingLong: 0, repaired: 1 })
  })

  it('passes over a peer that does not answer', async () => {
    wire.cut.add('n2')
    others[1]!.entries.log.set(5, entryAt(5))
    repair.want(5)
    for (let second = 0; second < 4; second++) await clock.advance(1_000)
    expect(repair.repaired).toBe(1)
  })

  it('forgets what nothing refers to any more, and lets those who wait look again', async () => {
    let called = 0
    repair.want(5, () => called++)
    repair.want(6)
    await rest()
    repair.forget((index) => index === 5)
    expect([repair.missing, called]).toEqual([1, 1])
    repair.forget(() => true)
    expect(repair.missing).toBe(0)
    await clock.advance(60_000)
    expect(clock.timers).toBe(0)
  })

  it('does nothing after a stop', async () => {
    repair.want(5)
    await rest()
    repair.stop()
    await rest()
    const asked = wire.requests.length
    repair.want(6)
    await clock.advance(60_000)
    expect(wire.requests).toHaveLength(asked)
    expect(clock.timers).toBe(0)
  })
})
