import { describe, expect, it } from 'vitest'
import { checkConsumers } from '../../../jepsen-lite/check/consumers.ts'
import { fc } from '../../support/property.ts'
import { bad, found, good, Story } from './story.ts'

const options = {
  concurrency: 1,
  soloOf: (process: number) => `solo.${process}`,
  topicOf: (process: number, to: string) => (to === 'solo' ? `solo.${process}` : to),
  isDelayed: (queue: string) => queue === 'shared',
}
const verdict = (story: Story) => found(checkConsumers(story.history, options))

const shared = (id: number, attempt = 1) => ({ consumer: '0 shared#1', queue: 'shared', id, attempt })
const solo = (id: number, attempt = 1) => ({ consumer: '0 solo#1', queue: 'solo.0', id, attempt })
/** Process 0 has published 1 and then 2, and consumes both queues. */
const published = () =>
  new Story()
    .tell('0 shared#1', 'subscribe', { queue: 'shared', prefetch: 2 })
    .tell('0 solo#1', 'subscribe', { queue: 'solo.0', prefetch: 1 })
    .wait(1_000)
    .did(0, 'publish', { id: 1 })
    .did(0, 'publish', { id: 2 })

describe('consumers are served right', () => {
  it('when each message is delivered until it is acked or rejected', () => {
    expect(verdict(published().take(shared(1), 'nack').take(shared(1, 2)).take(shared(2), 'reject').drained())).toEqual(
      good,
    )
  })

  it('when what comes back comes back to its place', () => {
    expect(verdict(published().take(solo(1), 'nack').take(solo(1, 2)).take(solo(2)).drained())).toEqual(good)
  })

  it('when a message comes back to a shared queue after a later one was delivered', () => {
    const other = { ...shared(1), consumer: '6 shared#1' }
    expect(verdict(published().deliver(other).take(shared(2)).lost(other).take(shared(1, 2)).drained())).toEqual(good)
  })

  it('when an ack without an answer was the last that was heard', () => {
    const story = published().take(shared(1)).deliver(shared(2)).settle(shared(2)).lost(shared(2))
    expect(verdict(story.drained())).toEqual(good)
  })

  it('when attempts got lost around a broken connection', () => {
    const story = published().take(solo(1), 'nack').tell('0 solo#1', 'disconnected').take(solo(1, 3)).take(solo(2))
    expect(verdict(story.drained())).toEqual(good)
  })

  it('when whoever empties the queue of a process gets what that one had', () => {
    const drain = (id: number, attempt = 1) => ({ consumer: 'drain 9 solo.0#1', queue: 'solo.0', id, attempt })
    expect(verdict(published().deliver(solo(1)).take(drain(2)).take(drain(1, 4)).drained())).toEqual(good)
  })

  it('is not decided before the queues are drained', () => {
    expect(verdict(published())).toEqual({ valid: 'unknown', types: [] })
  })
})

describe('consumers are served wrong', () => {
  it('when a message comes under a topic that its queue is not bound to', () => {
    expect(
      verdict(
        published()
          .take({ ...shared(1), topic: 'solo.0' })
          .take(shared(2))
          .drained(),
      ),
    ).toEqual(bad('misrouted'))
  })

  it('when a message is in another queue than it was published to, whatever topic it tells', () => {
    const subscribed = () => new Story().tell('0 shared#1', 'subscribe', { queue: 'shared', prefetch: 2 })
    const to = (topic: string) => subscribed().did(0, 'publish', { id: 1, to: topic }).take(shared(1)).drained()
    expect(verdict(to('shared'))).toEqual(good)
    expect(verdict(to('solo'))).toEqual(bad('misrouted'))
  })

  it('when an acknowledged message never comes', () => {
    expect(verdict(published().take(shared(1)).drained())).toEqual(bad('lost'))
  })

  it('when a message is gone though it was given back', () => {
    expect(verdict(published().take(shared(1)).take(shared(2), 'nack').drained())).toEqual(bad('dropped'))
  })

  it('when a message is gone after an attempt that nobody settled, whatever was tried at an earlier one', () => {
    const story = () => published().take(shared(1)).deliver(shared(2)).settle(shared(2)).lost(shared(2))
    expect(verdict(story().deliver(shared(2, 2)).drained())).toEqual(bad('dropped'))
    expect(verdict(story().take(shared(2, 2)).drained())).toEqual(good)
  })

  it('when a message is gone that its consumer lost', () => {
    expect(verdict(published().take(shared(1)).deliver(shared(2)).lost(shared(2)).drained())).toEqual(bad('dropped'))
  })

  it('when what comes back to the only consumer comes behind a later message', () => {
    expect(verdict(published().take(solo(1), 'nack').take(solo(2)).take(solo(1, 2)).drained())).toEqual(
      bad('reordered'),
    )
  })

  it('when the only consumer was renewed in between, too', () => {
    const renewed = (id: number, attempt: number) => ({ ...solo(id, attempt), consumer: '0 solo#2' })
    const story = published().deliver(solo(1)).lost(solo(1)).tell('0 solo#2', 'subscribe', { prefetch: 1 })
    expect(verdict(story.take(renewed(2, 1)).take(renewed(1, 2)).drained())).toEqual(bad('reordered'))
  })

  it('when first attempts reach a consumer in another order than that of the queue', () => {
    expect(verdict(published().take(shared(2)).take(shared(1)).drained())).toEqual(bad('reordered'))
  })

  it('when what several consumers gave back comes out of place', () => {
    const wide = (consumer: string, id: number, attempt = 1) => ({ consumer, queue: 'wide', id, attempt })
    const story = published().tell('0 a#1', 'subscribe', { prefetch: 5 }).tell('0 b#1', 'subscribe', { prefetch: 5 })
    story.deliver(wide('0 a#1', 1)).deliver(wide('0 b#1', 2)).tell('0 a#1', 'closed').tell('0 b#1', 'closed')
    story
      .tell('0 a#2', 'subscribe', { prefetch: 5 })
      .take(wide('0 a#2', 2, 2))
      .take(wide('0 a#2', 1, 2))
    expect(verdict(story.drained())).toEqual(bad('reordered'))
  })

  it('when attempts are skipped or begin above 1 without a cause', () => {
    expect(verdict(published().take(solo(1), 'nack').take(solo(1, 3)).take(solo(2)).drained())).toEqual(bad('skipped'))
    expect(verdict(published().take(solo(1, 2)).take(solo(2)).drained())).toEqual(bad('skipped'))
  })

  it('when a consumer has more in hand than its prefetch', () => {
    const story = published().did(0, 'publish', { id: 3 }).deliver(shared(1)).deliver(shared(2)).deliver(shared(3))
    for (const id of [1, 2, 3]) story.settle(shared(id))
    expect(verdict(story.drained())).toEqual(bad('prefetch'))
  })

  it('when an attempt is made twice, or made again after a confirmed ack', () => {
    const done = () => published().take(shared(1)).take(shared(2))
    expect(
      verdict(
        done()
          .deliver({ ...shared(2), consumer: '6 shared#1' })
          .drained(),
      ),
    ).toEqual(bad('repeated'))
    expect(verdict(done().take(shared(2, 2)).drained())).toEqual(bad('resurrected'))
  })

  it('when a message is stored twice, or comes from nowhere', () => {
    const done = () => published().take(shared(1)).take(shared(2))
    expect(
      verdict(
        done()
          .take({ ...shared(2), message: 'other' })
          .drained(),
      ),
    ).toEqual(bad('duplicated'))
    expect(verdict(done().take(shared(3)).drained())).toEqual(bad('unexpected'))
  })

  it('when an exclusive queue has two owners', () => {
    const story = published().take(shared(1)).take(shared(2))
    for (const f of ['owned', 'proving', 'proved']) for (const name of ['a', 'b']) story.tell(name, f, { queue: 'x' })
    expect(verdict(story.drained())).toEqual(bad('shared'))
  })
})

describe('any run of a right queue with one consumer', () => {
  /** What the consumer does with each delivery in turn; in the end it acks. */
  const deeds = fc.array(fc.constantFrom('ack', 'nack', 'reject'), { maxLength: 30 })

  interface Row {
    readonly id: number
    readonly attempt: number
    readonly as: string
  }

  /** A queue as it should be: what comes back is the next to be delivered. */
  function rowsOf(messages: number, fates: readonly string[]): Row[] {
    const rows: Row[] = []
    let turn = 0
    for (let id = 0; id < messages; id++) {
      for (let attempt = 1, as = 'nack'; as === 'nack'; attempt++) {
        as = fates[turn++] ?? 'ack'
        rows.push({ id, attempt, as })
      }
    }
    return rows
  }

  function told(messages: number, rows: readonly Row[]): Story {
    const story = new Story().tell('0 solo#1', 'subscribe', { prefetch: 1 }).wait(1_000)
    for (let id = 0; id < messages; id++) story.did(0, 'publish', { id })
    for (const { id, attempt, as } of rows) story.take(solo(id, attempt), as)
    return story.drained()
  }

  it('is valid', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10 }), deeds, (messages, fates) => {
        expect(verdict(told(messages, rowsOf(messages, fates)))).toEqual(good)
      }),
    )
  })

  it('is invalid when a delivery comes later than its turn', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 10 }), deeds, fc.nat(), fc.nat(), (messages, fates, a, b) => {
        const rows = rowsOf(messages, fates)
        const from = a % rows.length
        const to = from + 1 + (b % rows.length)
        fc.pre(to < rows.length && rows[to]!.id > rows[from]!.id)
        const moved = [...rows.slice(0, from), ...rows.slice(from + 1, to + 1), rows[from]!, ...rows.slice(to + 1)]
        expect(verdict(told(messages, moved)).types).toContain('reordered')
      }),
    )
  })

  it('is invalid when the last attempt at a message is missing', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10 }), deeds, fc.nat(), (messages, fates, n) => {
        const rows = rowsOf(messages, fates)
        const id = n % messages
        const left = rows.filter((row) => row.id !== id || row.as === 'nack')
        const expected = left.some((row) => row.id === id) ? 'dropped' : 'lost'
        expect(verdict(told(messages, left))).toEqual(bad(expected))
      }),
    )
  })
})
