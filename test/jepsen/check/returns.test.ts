import { describe, expect, it } from 'vitest'
import { deliveriesOf } from '../../../jepsen-lite/check/deliveries.ts'
import { checkReturns } from '../../../jepsen-lite/check/returns.ts'
import { Story } from './story.ts'

const at = (consumer: string, id: number, attempt = 1) => ({ consumer, queue: 'q', id, attempt })
const begin = (story: Story, consumer: string) => story.tell(consumer, 'subscribe', { queue: 'q', prefetch: 5 })
const close = (story: Story, consumer: string) => story.tell(consumer, 'closed', { queue: 'q' })

/** Publishes follow each other in the order of their ids. */
const check = ({ history }: Story, isDelayed = false) =>
  checkReturns(
    history,
    deliveriesOf(history),
    ({ id }) => ({ from: 10 * Number(id), to: 10 * Number(id) + 5, place: 0 }),
    () => isDelayed,
  ).map(({ type, events }) => [type, ...events])

/** Two consumers of process 0 get messages in turns, and are closed. */
function returned(): Story {
  const story = begin(begin(new Story(), '0 a#1'), '0 b#1')
  story.deliver(at('0 a#1', 1)).deliver(at('0 b#1', 2)).deliver(at('0 a#1', 3)).deliver(at('0 b#1', 4))
  return close(close(story, '0 b#1'), '0 a#1')
}

describe('messages that came back', () => {
  it('are each in their place, whoever held them', () => {
    const story = begin(returned(), '0 a#2')
      .deliver(at('0 a#2', 1, 2))
      .deliver(at('0 a#2', 2, 2))
    expect(
      check(
        story
          .deliver(at('0 a#2', 3, 2))
          .deliver(at('0 a#2', 4, 2))
          .deliver(at('0 a#2', 5)),
      ),
    ).toEqual([])
  })

  it('are out of place when a later one of another consumer comes first', () => {
    const story = begin(returned(), '0 a#2')
      .deliver(at('0 a#2', 1, 2))
      .deliver(at('0 a#2', 3, 2))
    expect(check(story.deliver(at('0 a#2', 2, 2)))).toEqual([['reordered', 3, 6, 10, 11]])
  })

  it('are out of place behind a new one', () => {
    const story = begin(returned(), '0 a#2')
      .deliver(at('0 a#2', 5))
      .deliver(at('0 a#2', 1, 2))
    expect(check(story)).toHaveLength(1)
  })

  it('count as there by when it was told that they were, not by when that was heard', () => {
    const nacked = () =>
      new Story().tell('7 a#1', 'subscribe', { queue: 'q', prefetch: 5 }).take(at('7 a#1', 1), 'nack')
    const got = (story: Story) => story.deliver(at('0 a#1', 2)).deliver(at('0 a#1', 1, 2))
    expect(check(got(begin(nacked().wait(10), '0 a#1').heardLate(15)))).toEqual([])
    expect(check(got(begin(nacked().wait(10), '0 a#1').heardLate(5)))).toHaveLength(1)
  })

  it('count as there when a nack of another client was confirmed before', () => {
    const given = begin(new Story(), '7 a#1').take(at('7 a#1', 1), 'nack')
    expect(
      check(
        begin(given, '0 a#1')
          .deliver(at('0 a#1', 2))
          .deliver(at('0 a#1', 1, 2)),
      ),
    ).toHaveLength(1)
  })
})

describe('nothing is said of messages', () => {
  it('that came back after the consumer had begun', () => {
    const story = begin(begin(new Story(), '0 a#1'), '0 b#1').deliver(at('0 a#1', 1))
    close(story, '0 a#1')
      .deliver(at('0 b#1', 2))
      .deliver(at('0 b#1', 1, 2))
    expect(check(story)).toEqual([])
  })

  it('whose holder was another client, that nobody saw giving it back', () => {
    const story = close(begin(new Story(), '7 a#1').deliver(at('7 a#1', 1)), '7 a#1')
    expect(
      check(
        begin(story, '0 a#1')
          .deliver(at('0 a#1', 2))
          .deliver(at('0 a#1', 1, 2)),
      ),
    ).toEqual([])
  })

  it('that were delivered once more in between, unseen', () => {
    const story = begin(returned(), '0 a#2')
      .deliver(at('0 a#2', 3, 2))
      .deliver(at('0 a#2', 2, 3))
    expect(check(story)).toEqual([])
  })

  it('that were acked, and come again for want of a confirmation', () => {
    const story = begin(new Story(), '0 a#1').deliver(at('0 a#1', 1)).settle(at('0 a#1', 1))
    begin(close(story, '0 a#1'), '0 a#2')
      .deliver(at('0 a#2', 2))
      .deliver(at('0 a#2', 1, 2))
    expect(check(story)).toEqual([])
  })

  it('of a queue in which a delay may have taken their places', () => {
    const story = begin(returned(), '0 a#2')
      .deliver(at('0 a#2', 3, 2))
      .deliver(at('0 a#2', 2, 2))
    expect(check(story, true)).toEqual([])
    expect(check(story)).toHaveLength(1)
  })
})
