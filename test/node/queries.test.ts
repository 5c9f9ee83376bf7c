import { describe, expect, it } from 'vitest'
import { answerQuery } from '../../node/gateway/queries.ts'
import { FrameKind } from '../../wire/frame.ts'
import { encode } from '../../wire/msgpack.ts'
import type { Query } from '../../wire/session-frames.ts'
import { World } from '../queue/world.ts'
import { FakeSocket, sessionOn, turn } from './fake-client.ts'

const queryFrame = (value: unknown) => Uint8Array.of(FrameKind.query, ...encode(value))

function asking({ barrier = () => Promise.resolve(), status = () => ({}) as unknown } = {}) {
  const world = new World()
  const socket = new FakeSocket()
  const source = { machine: world.machine, barrier, status }
  const session = sessionOn(socket, { onQuery: (asker, query) => answerQuery(source, asker, query) })
  const ask = (query: Partial<Record<keyof Query, unknown>>) => session.receive(queryFrame(query))
  const answers = async () => {
    await turn()
    await turn()
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
})
