import { beforeEach, describe, expect, it } from 'vitest'
import { FETCH_RESEND_MS } from '../../../node/checkpointing/fetch-client.ts'
import { PIN_MS } from '../../../node/checkpointing/install-source.ts'
import { Installer } from '../../../node/checkpointing/installer.ts'
import { CheckpointFormatError } from '../../../node/queue/index.ts'
import { entryAt, HandClock, markAt, Peer, rest, silent, Wire } from './support.ts'

/** A node that installs what others hold, with a machine that is a text. */
class Taker extends Peer {
  readonly installer: Installer
  commitIndex = 0
  state = ''
  /** The log holds the mark's entry already. */
  holdsMark = false
  suspended = 0

  constructor(id: string, wire: Wire, clock: HandClock) {
    super(id, wire, clock)
    const { journal } = this
    this.installer = new Installer({
      clock,
      logger: silent,
      onFatal: (error) => void this.fatal.push(error),
      client: this.client,
      bodies: this.bodies,
      checkpoints: this.checkpoints,
      entries: this.entries,
      checkpointer: {
        suspend: async () => {
          this.suspended++
          return () => void this.suspended--
        },
        adopt: (references) => void journal.push(`adopt ${[...references].join(' ')}`),
        installed: () => void journal.push('compact'),
      },
      driver: {
        status: () => ({ commitIndex: this.commitIndex }),
        installed: ({ index }, restore) => {
          if (this.holdsMark) return false
          restore()
          journal.push(`installed ${index}`)
          this.commitIndex = index
          return true
        },
      },
      read: () =>
        new TextReader((text) => {
          this.state = text
        }),
      peers: () => [...wire.peers.keys()].filter((other) => other !== id),
    })
  }
}

/** A checkpoint of the tests: chunks are text; the references are the numbers in it. */
class TextReader {
  readonly #restore: (text: string) => void
  #text = ''

  constructor(restore: (text: string) => void) {
    this.#restore = restore
  }

  push(chunk: Uint8Array): void {
    const text = new TextDecoder().decode(chunk)
    if (text.includes('?')) throw new CheckpointFormatError('bad chunk')
    this.#text += text
  }

  finish() {
    const references = new Set((this.#text.match(/\d+/g) ?? []).map(Number))
    return { references, restore: () => this.#restore(this.#text) }
  }
}

const offerOf = (from: string, index: number, incarnation = 'i') => ({
  from: { id: from, incarnation },
  term: 1,
  mark: markAt(index),
})

describe('an install', () => {
  let clock: HandClock
  let wire: Wire
  let leader: Peer
  let other: Peer
  let taker: Taker

  beforeEach(async () => {
    clock = new HandClock()
    wire = new Wire()
    leader = new Peer('leader', wire, clock)
    other = new Peer('other', wire, clock)
    taker = new Taker('taker', wire, clock)
    await leader.hold(100, ['state of 3 ', 'and 7 ', 'and 8 ', 'and of ', '20'], [3, 7, 8, 20])
    for (const index of [3, 7, 8, 20]) leader.entries.kept.set(index, entryAt(index))
  })

  it('makes bodies durable, and what the log knows of terms, then the checkpoint, and then tells the driver', async () => {
    taker.installer.offer(offerOf('leader', 100))
    await rest()
    expect(taker.fatal).toEqual([])
    expect(taker.journal).toEqual([
      'keep 3 7 8 20',
      'sync',
      'commit installed 100',
      'adopt 3 7 8 20',
      'installed 100',
      'compact',
    ])
    expect(taker.state).toBe('state of 3 and 7 and 8 and of 20')
    expect(taker.checkpoints.current).toMatchObject({ chunks: 5, origin: 'installed' })
    expect(taker.entries.kept.get(20)).toEqual(entryAt(20))
    expect(taker.installer.underWay).toBeUndefined()
    expect(taker.suspended).toBe(0)
  })

  it('has a few questions in flight, no more', async () => {
    await leader.hold(
      200,
      Array.from({ length: 40 }, () => 'x'),
    )
    let most = 0
    let open = 0
    const { request } = wire
    wire.request = (...given) => {
      most = Math.max(most, ++open)
      return request.apply(wire, given)
    }
    wire.loses = () => {
      open--
      return false
    }
    taker.installer.offer(offerOf('leader', 200))
    for (let n = 0; n < 5; n++) await rest()
    expect(taker.state).toHaveLength(40)
    expect(most).toBe(3)
  })

  it('asks again for what is lost on the way', async () => {
    let losses = 0
    wire.loses = () => ++losses % 2 === 1
    taker.installer.offer(offerOf('leader', 100))
    for (let n = 0; n < 10; n++) await clock.advance(FETCH_RESEND_MS)
    expect(taker.journal).toContain('installed 100')
  })

  it('does not fetch bodies that are held, unless only the log has them and does not know them as committed', async () => {
    // Another leader's: it was never committed, and at index 8 something else was.
    taker.entries.log.set(8, { ...entryAt(8), data: new Uint8Array([66]) })
    // This one is committed, which the disk does not know yet: a reset of the log would let go of it.
    taker.entries.log.set(20, entryAt(20))
    taker.commitIndex = 20
    taker.entries.settled = 7
    taker.entries.kept.set(3, entryAt(3))
    taker.entries.log.set(7, entryAt(7))
    taker.installer.offer(offerOf('leader', 100))
    await rest()
    expect(taker.journal[0]).toBe('keep 8 20')
  })

  it('goes on where it was, as for bodies, when another leader takes over', async () => {
    leader.entries.kept.delete(20)
    taker.installer.offer(offerOf('leader', 100))
    await rest()
    expect(taker.journal).toEqual(['keep 3 7 8'])
    await other.hold(150, ['3 7 8 20'], [3, 7, 8, 20])
    other.entries.kept.set(20, entryAt(20))
    wire.cut.add('leader')
    taker.installer.leaderChanged('other')
    taker.installer.offer(offerOf('other', 150))
    await clock.advance(FETCH_RESEND_MS)
    expect(taker.journal.slice(1, 4)).toEqual(['keep 20', 'sync', 'commit installed 150'])
    expect(taker.checkpoints.abandoned).toEqual([100])
  })

  it('ignores newer offers of the same leader while it goes on', async () => {
    wire.cut.add('leader')
    taker.installer.offer(offerOf('leader', 100))
    await rest()
    taker.installer.offer(offerOf('leader', 120))
    wire.cut.clear()
    await clock.advance(FETCH_RESEND_MS)
    expect(taker.journal).toContain('installed 100')
  })

  it('is replaced by that of another life of the leader', async () => {
    wire.cut.add('leader')
    taker.installer.offer(offerOf('leader', 90))
    await rest()
    taker.installer.offer(offerOf('leader', 100, 'i2'))
    wire.cut.clear()
    await rest()
    expect(taker.checkpoints.abandoned).toEqual([90])
    expect(taker.journal).toContain('installed 100')
  })

  it('waits for the next offer when the checkpoint is gone', async () => {
    taker.installer.offer(offerOf('leader', 99))
    await rest()
    expect(taker.installer.underWay).toBeUndefined()
    expect(taker.checkpoints.abandoned).toEqual([99])
    taker.installer.offer(offerOf('leader', 100))
    await rest()
    expect(taker.journal).toContain('installed 100')
  })

  it('does not ask for the same one at once when it cannot be read, and no harm is done', async () => {
    await leader.hold(110, ['what?'])
    const asked = () => wire.requests.length
    taker.installer.offer(offerOf('leader', 110))
    await rest()
    const before = asked()
    taker.installer.offer(offerOf('leader', 110))
    await rest()
    expect(asked()).toBe(before)
    expect(taker.fatal).toEqual([])
    await leader.hold(110, ['now it is'])
    await clock.advance(1_000)
    taker.installer.offer(offerOf('leader', 110))
    await rest()
    expect(taker.journal).toContain('installed 110')
  })

  it('asks nothing more once it was given up, though questions are open', async () => {
    await leader.hold(200, ['?', 'a', 'b', 'c'])
    let answers = 0
    wire.loses = () => answers++ > 0
    taker.installer.offer(offerOf('leader', 200))
    await rest()
    expect(taker.installer.underWay).toBeUndefined()
    const asked = wire.requests.length
    for (let second = 0; second < 3; second++) await clock.advance(FETCH_RESEND_MS)
    expect(wire.requests.length).toBe(asked)
  })

  it('has bodies that the leader lacks from another peer, and waits when nobody has them', async () => {
    leader.entries.kept.delete(8)
    taker.installer.offer(offerOf('leader', 100))
    await clock.advance(1_000)
    expect(taker.installer.underWay?.index).toBe(100)
    // What it has already is not to be compacted away meanwhile.
    expect([...(taker.installer.staged ?? [])]).toEqual([3, 7, 8, 20])
    expect(taker.journal).toEqual(['keep 3 7 20'])
    other.entries.log.set(8, entryAt(8))
    await clock.advance(1_000)
    expect(taker.journal).toContain('installed 100')
    expect(taker.installer.staged).toBeUndefined()
  })

  it('makes way for a newer checkpoint when nobody has a body that the older one refers to', async () => {
    leader.entries.kept.delete(20)
    taker.installer.offer(offerOf('leader', 100))
    await rest()
    expect(taker.journal).toEqual(['keep 3 7 8'])
    // Its message is no more: somebody has deleted the queue.
    await leader.hold(130, ['3 7 8'], [3, 7, 8])
    taker.installer.offer(offerOf('leader', 130))
    await clock.advance(FETCH_RESEND_MS)
    await clock.advance(FETCH_RESEND_MS)
    taker.installer.offer(offerOf('leader', 130))
    await rest()
    expect(taker.checkpoints.abandoned).toEqual([100])
    expect(taker.journal.slice(1)).toEqual(['sync', 'commit installed 130', 'adopt 3 7 8', 'installed 130', 'compact'])
  })

  it('is never told to the driver when the log came by itself meanwhile', async () => {
    leader.entries.kept.delete(8)
    taker.installer.offer(offerOf('leader', 100))
    await rest()
    taker.commitIndex = 100
    await clock.advance(1_000)
    expect(taker.installer.underWay).toBeUndefined()
    expect(taker.journal).toEqual(['keep 3 7 20'])
  })

  it('leaves the machine alone when the log holds the mark, and keeps the checkpoint', async () => {
    taker.holdsMark = true
    taker.installer.offer(offerOf('leader', 100))
    await rest()
    expect(taker.state).toBe('')
    expect(taker.journal.slice(-2)).toEqual(['commit installed 100', 'adopt 3 7 8 20'])
  })

  it('ends with a stop, and leaves nothing staged', async () => {
    wire.cut.add('leader')
    taker.installer.offer(offerOf('leader', 100))
    await rest()
    await taker.installer.stop()
    expect(taker.checkpoints.abandoned).toEqual([100])
    taker.installer.offer(offerOf('leader', 100))
    await rest()
    expect(taker.suspended).toBe(0)
    await clock.advance(60_000)
    expect(clock.timers).toBe(0)
  })
})

describe('the source of an install', () => {
  let clock: HandClock
  let wire: Wire
  let leader: Peer
  let taker: Taker

  beforeEach(async () => {
    clock = new HandClock()
    wire = new Wire()
    leader = new Peer('leader', wire, clock)
    taker = new Taker('taker', wire, clock)
    await leader.hold(100, ['3'], [3])
  })

  it('pins checkpoint, bodies and log while questions come, and lets go some time after the last', async () => {
    taker.installer.offer(offerOf('leader', 100))
    await rest()
    await leader.hold(200, ['4'], [4])
    expect(leader.source.pinned().map((live) => [...live])).toEqual([[3]])
    expect(leader.source.logFloor()).toBe(101)
    expect(leader.source.peers).toEqual(['taker'])
    expect(leader.checkpoints.held.has(100)).toBe(true)
    // It asks for the body that nobody has, every second: the pin lives.
    for (let second = 0; second < 60; second++) await clock.advance(1_000)
    expect(leader.source.logFloor()).toBe(101)
    leader.entries.kept.set(3, entryAt(3))
    await clock.advance(1_000)
    expect(taker.journal).toContain('installed 100')
    expect(leader.source.logFloor()).toBe(101)
    for (let second = 0; second <= PIN_MS / 1_000 + 3; second++) await clock.advance(1_000)
    expect(leader.source.pinned()).toEqual([])
    expect(leader.source.logFloor()).toBeUndefined()
    expect(leader.checkpoints.held.has(100)).toBe(false)
    expect(clock.timers).toBe(0)
  })

  it('pins nothing for whoever asks for another checkpoint than the current one', async () => {
    const asked = taker.client.ask('leader', { what: 'chunk', mark: 99, n: 0 }, new AbortController().signal)
    expect(await asked).toEqual({ what: 'gone' })
    expect(leader.source.logFloor()).toBeUndefined()
  })

  it('gives entries in answers of bounded size, and only those that are applied here', async () => {
    const { signal } = new AbortController()
    for (let index = 1; index <= 40; index++) leader.entries.log.set(index, entryAt(index, 20_000))
    leader.appliedIndex = 30
    const indexes = Array.from({ length: 40 }, (_, i) => i + 1)
    const first = await taker.client.ask('leader', { what: 'entries', indexes }, signal)
    if (first?.what !== 'entries') throw new Error(first?.what)
    expect(first.entries.map(({ index }) => index)).toEqual(indexes.slice(0, first.dealt))
    expect(first.dealt).toBe(13)
    const rest = await taker.client.ask('leader', { what: 'entries', indexes: indexes.slice(26) }, signal)
    expect(rest).toMatchObject({ dealt: 14, entries: [{ index: 27 }, { index: 28 }, { index: 29 }, { index: 30 }] })
    const sparse = await taker.client.ask('leader', { what: 'entries', indexes: [2, 9, 17, 35, 50] }, signal)
    expect(sparse).toMatchObject({ dealt: 5, entries: [{ index: 2 }, { index: 9 }, { index: 17 }] })
  })

  it('answers a few questions of a peer at a time', async () => {
    let answers = 0
    let waiting = 0
    let letGo: () => void = () => {}
    const gate = new Promise<void>((resolve) => {
      letGo = resolve
    })
    leader.checkpoints.readChunk = async () => {
      waiting++
      await gate
      return new Uint8Array(1)
    }
    wire.loses = () => {
      answers++
      return true
    }
    for (let id = 0; id < 20; id++) {
      leader.source.onRequest('taker', { id, question: { what: 'chunk', mark: 100, n: 0 } })
    }
    expect(waiting).toBe(4)
    letGo()
    await new Promise((resolve) => setImmediate(resolve))
    expect(answers).toBe(4)
    leader.source.onRequest('taker', { id: 20, question: { what: 'chunk', mark: 100, n: 0 } })
    expect(waiting).toBe(5)
  })

  it('calls a damaged checkpoint gone, and says so at home', async () => {
    leader.checkpoints.rotten = 0
    const asked = taker.client.ask('leader', { what: 'chunk', mark: 100, n: 0 }, new AbortController().signal)
    expect(await asked).toEqual({ what: 'gone' })
    expect(leader.damaged).toHaveLength(1)
    expect(leader.fatal).toEqual([])
  })

  it('pins the one that took the place of a damaged one, at the same index', async () => {
    const { signal } = new AbortController()
    const ask = (n: number) => taker.client.ask('leader', { what: 'chunk', mark: 100, n }, signal)
    expect(await ask(0)).toMatchObject({ what: 'chunk', chunks: 1 })
    await leader.hold(100, ['3', '4'], [3, 4])
    expect(await ask(1)).toMatchObject({ what: 'chunk', chunks: 2 })
    expect(leader.source.pinned().map((live) => [...live])).toEqual([[3, 4]])
    await leader.hold(200, ['5'], [5])
    expect(await ask(0)).toMatchObject({ what: 'chunk', chunks: 2 })
  })

  it('is not heard by those who did not ask it', async () => {
    const controller = new AbortController()
    const asked = taker.client.ask('nobody', { what: 'chunk', mark: 100, n: 0 }, controller.signal)
    const { id } = wire.requests[0]!.request
    taker.client.onResponse('leader', { id, answer: { what: 'gone' } })
    taker.client.onResponse('nobody', { id, answer: { what: 'entries', dealt: 0, entries: [] } })
    await rest()
    controller.abort()
    expect(await asked).toBeUndefined()
  })
})
