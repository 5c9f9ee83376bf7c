import { expect, it } from 'vitest'
import { checkPrefetch } from '../../../jepsen-lite/check/prefetch.ts'
import { Story } from './story.ts'

const subscribed = () => new Story().tell('c#1', 'subscribe', { queue: 'q', prefetch: 2 })
const m = (id: number) => ({ consumer: 'c#1', queue: 'q', id })
const check = (story: Story) => checkPrefetch(story.history).map(({ type, events }) => [type, ...events])

it('lets a consumer have as many in hand as it asked for', () => {
  expect(check(subscribed().deliver(m(1)).deliver(m(2)))).toEqual([])
})

it('names all that it has in hand when it is one too many', () => {
  expect(check(subscribed().deliver(m(1)).deliver(m(2)).deliver(m(3)))).toEqual([['prefetch', 1, 2, 3]])
})

it('counts no more what it has begun to settle, or lost', () => {
  expect(check(subscribed().deliver(m(1)).deliver(m(2)).settle(m(1)).deliver(m(3)))).toEqual([])
  expect(check(subscribed().deliver(m(1)).deliver(m(2)).lost(m(2)).deliver(m(3)))).toEqual([])
})

it('counts nothing that it has held for so long that its time may be over', () => {
  expect(check(subscribed().deliver(m(1)).deliver(m(2)).wait(16_000).deliver(m(3)))).toEqual([])
  expect(check(subscribed().deliver(m(1)).deliver(m(2)).wait(14_000).deliver(m(3)))).toHaveLength(1)
})

it('counts each consumer for itself', () => {
  const story = subscribed().tell('c#2', 'subscribe', { queue: 'q', prefetch: 1 })
  expect(
    check(
      story
        .deliver(m(1))
        .deliver(m(2))
        .deliver({ ...m(3), consumer: 'c#2' }),
    ),
  ).toEqual([])
})
