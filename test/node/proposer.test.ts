import { beforeEach, describe, expect, it } from 'vitest'
import { Proposer } from '../../node/proposer.ts'
import { encodeNodeCommand } from '../../node/queue/command.ts'
import { readEntry } from '../../node/queue/entry.ts'
import { readCommand } from '../../wire/control-frame.ts'
import { limits } from '../../wire/limits.ts'
import { PublishFrameBuilder } from '../../wire/publish-frame.ts'
import { refusePublishFrame } from '../../wire/refused-publish-frame.ts'

/** A clock that stands until it is told to move on. */
class HandClock {
  nowMs = 1_000
  #deferred: (() => void)[] = []
  #timers: { atMs: number; callback: () => void }[] = []

  now = () => this.nowMs
  defer = (callback: () => void) => void this.#deferred.push(callback)
  setTimer = (ms: number, callback: () => void) => {
    const timer = { atMs: this.nowMs + ms, callback }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }

  get timers(): number {
    return this.#timers.length
  }

  turn(): void {
    for (const callback of this.#deferred.splice(0)) callback()
  }

  advance(ms: number): void {
    this.nowMs += ms
    const due = this.#timers.filter(({ atMs }) => atMs <= this.nowMs)
    this.#timers = this.#timers.filter((timer) => !due.includes(timer))
    for (const { callback } of due) callback()
    this.turn()
  }
}

const frame = (size = 100) => {
  const command = encodeNodeCommand(0, { type: 'nodeStarted', node: 'x'.repeat(size), bootId: 1 })
  return command
}

describe('the proposer', () => {
  let clock: HandClock
  let entries: Uint8Array[]
  let room: number
  let wallMs: number
  let proposer: Proposer
  let isFull: boolean

  beforeEach(() => {
    clock = new HandClock()
    entries = []
    room = Number.POSITIVE_INFINITY
    wallMs = 50_000
    isFull = false
    proposer = new Proposer({
      clock,
      wallNow: () => wallMs,
      group: 0,
      propose: (data) => {
        if (entries.length >= room) return false
        entries.push(data)
        return true
      },
      refusesPublishes: () => isFull,
    })
  })

  const stamps = () => entries.map((data) => readEntry(data)!.stamp)
  const counts = () => entries.map((data) => readEntry(data)!.frames)

  it('makes one entry of the frames of one turn', () => {
    proposer.begin({ timeMs: 0, wallMs: 0 })
    proposer.push(frame())
    proposer.push(frame())
    expect(entries).toEqual([])
    clock.turn()
    expect(counts()).toEqual([2])
  })

  it('splits what is more than a frame’s worth of bytes, and lets one larger frame travel alone', () => {
    proposer.begin({ timeMs: 0, wallMs: 0 })
    const half = limits.frameBytesTarget / 2
    for (const size of [half, half, 10, 2 * limits.frameBytesTarget, 10]) proposer.push(frame(size))
    clock.turn()
    expect(counts()).toEqual([1, 2, 1, 1])
  })

  it('keeps frames until it begins, drops them when it ends', () => {
    proposer.push(frame())
    clock.turn()
    expect(entries).toEqual([])
    proposer.begin({ timeMs: 0, wallMs: 0 })
    clock.turn()
    expect(counts()).toEqual([1])
    proposer.push(frame())
    proposer.end()
    clock.turn()
    proposer.begin({ timeMs: 0, wallMs: 0 })
    clock.turn()
    expect(counts()).toEqual([1])
  })

  it('keeps the rest, in order, while the log takes nothing', () => {
    room = 1
    proposer.begin({ timeMs: 0, wallMs: 0 })
    const big = limits.frameBytesTarget
    proposer.push(frame(big))
    proposer.push(frame(big + 1))
    clock.turn()
    expect(counts()).toEqual([1])
    room = 2
    proposer.retry()
    clock.turn()
    expect(entries.map((data) => data.length)).toEqual([entries[0]!.length, entries[0]!.length + 1])
  })

  it('proposes again what the log refused, though nothing is applied: a hand-over of leadership may just fail', () => {
    proposer.begin({ timeMs: 0, wallMs: 0 })
    room = 0
    proposer.watchTimers(50)
    clock.advance(50)
    room = 1
    expect(counts()).toEqual([])
    clock.advance(100)
    expect(counts()).toEqual([1])
    expect(clock.timers).toBe(0)
  })

  it('drops what is too much to wait for the log, and takes frames again when there is room', () => {
    const megabyte = new Uint8Array(1024 * 1024)
    room = 0
    proposer.begin({ timeMs: 0, wallMs: 0 })
    for (let i = 0; i < 300; i++) proposer.push(megabyte)
    clock.turn()
    let proposed = 0
    const drain = () => {
      for (room = 1; ; entries.length = 0) {
        proposer.retry()
        clock.turn()
        if (entries.length === 0) return
        proposed++
      }
    }
    drain()
    expect(proposed).toBe(256)
    proposer.push(megabyte)
    drain()
    expect(proposed).toBe(257)
  })

  it('goes on from the machine’s time by the monotonic clock, whatever the wall clock does', () => {
    proposer.begin({ timeMs: 7_000, wallMs: 60_000 })
    clock.advance(250)
    wallMs = 40_000
    proposer.push(frame())
    clock.turn()
    wallMs = 61_000
    proposer.push(frame())
    clock.turn()
    wallMs = 20_000
    proposer.push(frame())
    clock.turn()
    expect(stamps()).toEqual([
      { timeMs: 7_250, wallMs: 60_000 },
      { timeMs: 7_250, wallMs: 61_000 },
      { timeMs: 7_250, wallMs: 61_000 },
    ])
  })

  it('proposes an advance when the earliest timer is due, not before', () => {
    proposer.begin({ timeMs: 0, wallMs: 0 })
    proposer.watchTimers(500)
    proposer.watchTimers(900)
    proposer.watchTimers(300)
    expect(clock.timers).toBe(1)
    clock.advance(299)
    expect(entries).toEqual([])
    clock.advance(1)
    const { view, start, end } = readEntry(entries[0]!)!
    expect(readCommand(entries[0]!, view, start(0), end(0) - start(0))).toEqual({ type: 'advance' })
    proposer.watchTimers(900)
    clock.advance(600)
    expect(entries).toHaveLength(2)
  })

  it('keeps no timer when none is due or it does not lead', () => {
    proposer.watchTimers(10)
    expect(clock.timers).toBe(0)
    proposer.begin({ timeMs: 0, wallMs: 0 })
    proposer.watchTimers(10)
    proposer.watchTimers(undefined)
    expect(clock.timers).toBe(0)
    proposer.watchTimers(10)
    proposer.end()
    expect(clock.timers).toBe(0)
  })

  it('puts publishes into the log without their bodies while the disk is nearly full, and everything else as it is', () => {
    proposer.begin({ timeMs: 0, wallMs: 0 })
    const builder = new PublishFrameBuilder()
    for (let n = 0; n < 3; n++) builder.add('a', new Uint8Array(10_000))
    const publish = builder.finish({ group: 0, session: 7, epoch: 8, sequence: 40, seen: 0 })
    const node = frame()
    const framesOf = (entry: Uint8Array) => {
      const { frames, start, end } = readEntry(entry)!
      return Array.from({ length: frames }, (_, i) => entry.slice(start(i), end(i)))
    }
    isFull = true
    proposer.push(publish)
    proposer.push(node)
    clock.turn()
    expect(framesOf(entries[0]!)).toEqual([refusePublishFrame(publish, 'DiskFull'), node])
    expect(entries[0]!.length).toBeLessThan(1_000)
    isFull = false
    proposer.push(publish)
    clock.turn()
    expect(framesOf(entries[1]!)).toEqual([publish])
  })
})
