import { describe, expect, it } from 'vitest'
import { answerQuery } from '../../node/gateway/queries.ts'
import { QUERIES_OPEN_MAX, QUERIES_PER_TURN_MAX } from '../../node/gateway/query-turns.ts'
import { FrameKind } from '../../wire/frame.ts'
import { limits } from '../../wire/limits.ts'
import { encode } from '../../wire/msgpack.ts'
import type { Query } from '../../wire/session-frames.ts'
import { World } from '../queue/world.ts'
import { FakeSocket, sessionOn, turn } from './fake-client.ts'

const queryFrame = (value: unknown) => Uint8Array.of(FrameKind.query, ...encode(value))

/** Turns of the event loop that are enough for any of these tests. */
const TURNS = 100

function asking({ barrier = () => Promise.resolve(), status = () => ({}) as unknown } = {}) {
  const world = new World()
  const socket = new FakeSocket()
  const source = { machine: world.machine, barrier, status }
  const session = sessionOn(socket, { onQuery: (asker, query) => answerQuery(source, asker, query) })
  const ask = (query: Partial<Record<keyof Query, unknown>>) => session.receive(queryFrame(query))
  const answers = async () => {
    for (let i = 0; i < TURNS; i++) await turn()
    return socket.values(FrameKind.answer)
  }
  return { world, socket, ask, answers }
}

describe('a query', () => {
  it('is answered from the replica, at once or behind the barrier', async () => {
    const { world, ask, answers } = asking()
    world.open().queue('q', 'a')
    ask({ id: 1, what: 'queue', name: 'q' })
    ask({ id: 2, what: 'queues', consistent: true })
    expect(await answers()).toMatchObject([
      { id: 1, value: { queue: 'q' } },
      { id: 2, value: [{ queue: 'q' }] },
    ])
  })

  const lies: [string, object][] = [
    ['a name that is a map', { id: 1, what: 'queue', name: { toString: 1, valueOf: 1 }, consistent: true }],
    ['a question that is a map', { id: 1, what: { toString: 1, valueOf: 1 } }],
    ['a question without end', { id: 1, what: 'q'.repeat(1_000) }],
    ['an id that is a fraction', { id: 1.5, what: 'queues' }],
    ['an id that is too large', { id: 2n ** 64n - 1n, what: 'queues' }],
    ['no map', []],
  ]

  it.each(lies)('with %s is refused at the door', (_, query) => {
    const { ask } = asking()
    expect(() => ask(query)).toThrow(expect.objectContaining({ code: 'Protocol' }))
  })

  it.each([
    ['queue', 'none', 'NotFound'],
    ['queue', 'x'.repeat(1_000), 'NotFound'],
    ['everything', undefined, 'Protocol'],
  ])('for what there is not gets a coded answer, and the socket lives: %s', async (what, name, code) => {
    const { ask, answers, socket } = asking()
    ask({ id: 1, what, name, consistent: true })
    expect(await answers()).toMatchObject([{ id: 1, code }])
    expect(socket.failures).toEqual([])
  })

  it('says NoQuorum when the barrier fails', async () => {
    const { ask, answers } = asking({ barrier: () => Promise.reject(new Error('no majority')) })
    ask({ id: 1, what: 'queues', consistent: true })
    expect(await answers()).toMatchObject([{ id: 1, code: 'NoQuorum' }])
  })

  it('that cannot be answered ends its socket alone, behind the barrier too', async () => {
    const broken = new TypeError('cannot be encoded')
    const status = () => {
      throw broken
    }
    const { ask, answers, socket } = asking({ status })
    ask({ id: 1, what: 'cluster', consistent: true })
    await answers()
    expect(socket.failures).toEqual([broken])
  })

  it('of the cluster’s queues whose answer would be too long for a client is refused with the bound', async () => {
    const { world, ask, answers, socket } = asking()
    const client = world.open()
    for (let queue = 0; queue < 20; queue++) {
      client.control({ type: 'declareQueue', queue: `q${queue}` })
      const words = 'w'.repeat(200)
      const patterns = Array.from({ length: 1_000 }, (_, n) => `${words}.${n}`)
      world.apply(...patterns.map((pattern) => client.controlFrame({ type: 'bind', queue: `q${queue}`, pattern })))
    }
    ask({ id: 1, what: 'queues' })
    ask({ id: 2, what: 'queue', name: 'q7' })
    expect(await answers()).toMatchObject([
      { id: 1, code: 'LimitExceeded', message: expect.stringContaining('3145728') },
      { id: 2, value: { queue: 'q7' } },
    ])
    expect(Math.max(...socket.sent.map(({ length }) => length))).toBeLessThan(300_000)
  })
})

describe('the queries of one session', () => {
  it.each([false, true])(
    'are worked out a few in a turn, all of them in the end (consistent: %s)',
    async (consistent) => {
      let worked = 0
      const { ask, answers } = asking({ status: () => ++worked })
      for (let id = 1; id <= 100; id++) ask({ id, what: 'cluster', consistent })
      let before = 0
      while (worked < 100) {
        await turn()
        expect(worked - before).toBeLessThanOrEqual(QUERIES_PER_TURN_MAX)
        before = worked
      }
      expect(await answers()).toHaveLength(100)
    },
  )

  it('are fewer in a turn when their answers are long', async () => {
    let worked = 0
    const status = () => {
      worked++
      return 'x'.repeat(limits.frameBytesTarget)
    }
    const { ask } = asking({ status })
    for (let id = 1; id <= 3; id++) ask({ id, what: 'cluster' })
    await turn()
    expect(worked).toBe(1)
  })

  it('are Overloaded beyond their bound, and taken again when the others are answered', async () => {
    let release = () => {}
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    const { ask, answers } = asking({ barrier: () => released })
    for (let id = 0; id <= QUERIES_OPEN_MAX; id++) ask({ id, what: 'cluster', consistent: true })
    expect(await answers()).toMatchObject([{ id: QUERIES_OPEN_MAX, code: 'Overloaded' }])
    release()
    expect(await answers()).toHaveLength(QUERIES_OPEN_MAX + 1)
    ask({ id: 5_000, what: 'cluster' })
    expect((await answers()).at(-1)).toEqual({ id: 5_000, value: {} })
  })

  it('are Overloaded while the client does not read', async () => {
    let worked = 0
    const { ask, answers, socket } = asking({ status: () => ++worked })
    socket.bufferedBytes = 1_000_001
    ask({ id: 1, what: 'cluster' })
    expect(await answers()).toMatchObject([{ id: 1, code: 'Overloaded' }])
    expect(worked).toBe(0)
    socket.read()
    ask({ id: 2, what: 'cluster' })
    expect((await answers()).at(-1)).toEqual({ id: 2, value: 1 })
  })
})
