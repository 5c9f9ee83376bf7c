import { describe, expect, it } from 'vitest'
import {
  deliveriesOf,
  drops,
  duplicates,
  earlyAttempts,
  reorderings,
  repeatedAttempts,
  resurrections,
  unexpectedDeliveries,
} from '../../../jepsen-lite/check/deliveries.ts'
import { fields, operationsOf } from '../../../jepsen-lite/check/operations.ts'
import { Story } from './story.ts'

const one = { consumer: '1 q#1', queue: 'q', id: 7 }
const again = { ...one, consumer: '2 q#1', attempt: 2 }

function types(anomalies: readonly { readonly type: string; readonly events: readonly number[] }[]) {
  return anomalies.map(({ type, events }) => [type, ...events])
}

describe('what consumers tell', () => {
  it('is read as deliveries with what became of them', () => {
    const { history } = new Story().deliver(one).settle(one, 'nack').settled(one).deliver(again).lost(again)
    expect(deliveriesOf(history)).toMatchObject([
      { id: 7, attempt: 1, settle: { as: 'nack', event: { index: 1 } }, settled: { index: 2 }, lost: undefined },
      { id: 7, attempt: 2, settle: undefined, settled: undefined, lost: { index: 4 } },
    ])
  })

  it('is told apart by consumer and attempt', () => {
    const second = { ...one, attempt: 2 }
    const { history } = new Story().deliver(one).deliver(second).deliver(again).settle(second)
    expect(deliveriesOf(history).map(({ settle }) => settle?.as)).toEqual([undefined, 'ack', undefined])
  })
})

describe('attempts', () => {
  it('may be several at one message, and one at each of several', () => {
    const { history } = new Story()
      .take(one, 'nack')
      .take(again)
      .take({ ...one, queue: 'other' })
    expect(repeatedAttempts(deliveriesOf(history))).toEqual([])
  })

  it('are made once', () => {
    const { history } = new Story().deliver(one).deliver({ ...one, consumer: '2 q#1' })
    expect(types(repeatedAttempts(deliveriesOf(history)))).toEqual([['repeated', 0, 1]])
  })

  it.each([0, 1.5, -1])('count from 1, not %s', (attempt) => {
    const { history } = new Story().deliver({ ...one, attempt })
    expect(types(repeatedAttempts(deliveriesOf(history)))).toEqual([['attempts', 0]])
  })

  it.each(['ack', 'reject'])('end with a confirmed %s', (as) => {
    const { history } = new Story().take(one, as).deliver(again)
    expect(types(resurrections(deliveriesOf(history)))).toEqual([['resurrected', 0, 1, 2, 3]])
  })

  it('have ended also when the later one was recorded earlier', () => {
    const { history } = new Story().deliver(again).take(one)
    expect(types(resurrections(deliveriesOf(history)))).toEqual([['resurrected', 0, 1, 2, 3]])
  })

  it("come early when the former one was given back later, and was its consumer's until then", () => {
    const { history } = new Story().deliver(one).deliver(again).settle(one, 'nack').settled(one)
    expect(types(earlyAttempts(deliveriesOf(history)))).toEqual([['early', 0, 1, 2, 3]])
  })

  it('come in time when the former one was lost, or given back before by the clock of those who told', () => {
    const lost = new Story().deliver(one).deliver(again).settle(one, 'nack').lost(one)
    expect(earlyAttempts(deliveriesOf(lost.history))).toEqual([])
    const heardLate = new Story().deliver(one).deliver(again).settle(one, 'nack').heardLate(5).settled(one)
    expect(earlyAttempts(deliveriesOf(heardLate.history))).toEqual([])
  })

  it('go on after a nack, after an ack without confirmation, and late ones come late', () => {
    const { history } = new Story()
      .take(one, 'nack')
      .deliver(again)
      .settle(again)
      .lost(again)
      .take({ ...one, attempt: 4 })
      .deliver({ ...one, attempt: 3 })
    expect(resurrections(deliveriesOf(history))).toEqual([])
  })
})

describe('a message of a queue that was emptied', () => {
  const dropped = (story: Story, isAcknowledged = true, from = Number.POSITIVE_INFINITY) =>
    types(drops(deliveriesOf(story.history), { from, isAcknowledged: () => isAcknowledged }))

  it.each(['ack', 'reject'])('was ended by the last attempt: with an %s that was begun', (as) => {
    expect(dropped(new Story().take(one, 'nack').deliver(again).settle(again, as))).toEqual([])
    expect(dropped(new Story().take(one, 'nack').deliver(again).lost(again))).toEqual([['dropped', 0, 3]])
    expect(dropped(new Story().take(one, 'nack').take(again, 'nack'))).toEqual([['dropped', 0, 3]])
  })

  it('was not ended by an ack of an earlier attempt, wherever the attempts stand in the history', () => {
    expect(dropped(new Story().deliver(one).settle(one).lost(one).deliver(again))).toEqual([['dropped', 0, 3]])
    expect(dropped(new Story().deliver(again).deliver(one).settle(one))).toEqual([['dropped', 0, 1]])
    expect(dropped(new Story().take(again).deliver(one))).toEqual([])
  })

  it('was not ended by a settle that its consumer told of and never sent', () => {
    const lost = (more: object) =>
      new Story()
        .deliver(one)
        .settle(one)
        .tell(one.consumer, 'lost', { queue: 'q', message: 'm7', attempt: 1, ...more })
    expect(dropped(lost({ error: 'LeaseLost' }))).toEqual([])
    expect(dropped(lost({ error: 'LeaseLost', unsent: true }))).toEqual([['dropped', 0]])
  })

  it('was ended in each queue by itself', () => {
    expect(dropped(new Story().take(one).deliver({ ...one, queue: 'other' }))).toEqual([['dropped', 3]])
  })

  it('may have come after the last look, if nobody knows when it was stored', () => {
    expect(dropped(new Story().deliver(one), false, -1)).toEqual([])
    expect(dropped(new Story().deliver(one), true, -1)).toEqual([['dropped', 0]])
    expect(dropped(new Story().deliver(one), false, 1)).toEqual([['dropped', 0]])
  })
})

describe('what was published once', () => {
  it('is one message in each queue', () => {
    const { history } = new Story()
      .take(one, 'nack')
      .take(again)
      .take({ ...one, queue: 'other', message: 'another' })
    expect(duplicates(deliveriesOf(history))).toEqual([])
  })

  it('is not two messages of a queue', () => {
    const { history } = new Story().take(one).take({ ...one, message: 'another' })
    expect(types(duplicates(deliveriesOf(history)))).toEqual([['duplicated', 0, 3]])
  })

  it('was published, and not refused', () => {
    const { history } = new Story()
      .invoke(0, 'publish', { id: 7 })
      .fail(0)
      .did(0, 'publish', { id: 8 })
      .deliver(one)
      .deliver({ ...one, id: 8 })
      .deliver({ ...one, id: 9 })
    const publishes = new Map(operationsOf(history).map((each) => [fields(each.invoke.value).id, each]))
    expect(types(unexpectedDeliveries(deliveriesOf(history), publishes))).toEqual([
      ['unexpected', 0, 1, 4],
      ['unexpected', 6],
    ])
  })
})

describe('the order of a queue', () => {
  /** Deliveries of 0, 1, … with where their publishes stand. */
  const rows = (placed: { from: number; to: number; place?: number }[]) => {
    const story = new Story()
    for (const id of placed.keys()) story.deliver({ ...one, id })
    return deliveriesOf(story.history).map((delivery, i) => ({ delivery, placed: { place: 0, ...placed[i]! } }))
  }
  const kinds = (placed: { from: number; to: number; place?: number }[]) =>
    reorderings(rows(placed)).map(({ type }) => type)

  it('is that of publishes that followed each other', () => {
    expect(
      kinds([
        { from: 1, to: 2 },
        { from: 3, to: 4 },
      ]),
    ).toEqual([])
    expect(
      kinds([
        { from: 3, to: 4 },
        { from: 1, to: 2 },
      ]),
    ).toEqual(['reordered'])
  })

  it('is open among those that overlap or whose end nobody knows', () => {
    expect(
      kinds([
        { from: 3, to: 6 },
        { from: 1, to: 4 },
      ]),
    ).toEqual([])
    expect(
      kinds([
        { from: 3, to: 4 },
        { from: 1, to: Number.POSITIVE_INFINITY },
      ]),
    ).toEqual([])
  })

  it('is that of their places in one operation', () => {
    expect(
      kinds([
        { from: 1, to: 9, place: 0 },
        { from: 1, to: 9, place: 1 },
      ]),
    ).toEqual([])
    expect(
      kinds([
        { from: 1, to: 9, place: 1 },
        { from: 1, to: 9, place: 0 },
      ]),
    ).toEqual(['reordered'])
  })

  it('is held against the latest that came before, not only the last', () => {
    expect(
      kinds([
        { from: 7, to: 8 },
        { from: 5, to: 9 },
        { from: 1, to: 6 },
      ]),
    ).toEqual(['reordered'])
  })
})
