import { expect, it } from 'vitest'
import { checkOwners } from '../../../jepsen-lite/check/owners.ts'
import { Story } from './story.ts'

const Q = { queue: 'q' }
const check = (story: Story) => checkOwners(story.history).map(({ type, events }) => [type, ...events])

it('lets one own a queue after the other', () => {
  const story = new Story().tell('a', 'owned', Q).tell('a', 'proving', Q).tell('b', 'owned', Q).tell('a', 'proved', Q)
  expect(check(story.tell('b', 'proving', Q).tell('b', 'proved', Q))).toEqual([])
})

it('sees two owners at once', () => {
  const story = new Story().tell('a', 'owned', Q).tell('b', 'owned', Q).tell('a', 'proving', Q).tell('a', 'proved', Q)
  expect(check(story.tell('b', 'proving', Q).tell('b', 'proved', Q))).toEqual([['shared', 0, 1, 2, 4]])
})

it('sees a short tenure within a long one', () => {
  const story = new Story().tell('a', 'owned', Q)
  story.tell('b', 'owned', Q).tell('b', 'proving', Q).tell('b', 'proved', Q)
  story.tell('c', 'owned', Q).tell('c', 'proving', Q).tell('c', 'proved', Q)
  expect(check(story.tell('a', 'proving', Q).tell('a', 'proved', Q))).toHaveLength(2)
})

it('believes nobody who did not prove it: a session may expire unnoticed', () => {
  const story = new Story().tell('a', 'owned', Q).tell('b', 'owned', Q).tell('a', 'proving', Q)
  expect(check(story.tell('b', 'proving', Q).tell('b', 'proved', Q))).toEqual([])
})

it('goes by when owners told, not by when they were heard', () => {
  const story = () => new Story().tell('a', 'owned', Q).wait(10)
  const after = story().tell('b', 'owned', Q).tell('a', 'proving', Q).heardLate(5).tell('a', 'proved', Q).heardLate(5)
  expect(check(after.tell('b', 'proving', Q).tell('b', 'proved', Q))).toEqual([])
  const first = new Story().wait(10).tell('a', 'owned', Q).tell('a', 'proving', Q).tell('a', 'proved', Q)
  for (const f of ['owned', 'proving', 'proved']) first.tell('b', f, Q).heardLate(8)
  expect(check(first)).toEqual([])
  const before = story().tell('a', 'proving', Q).tell('a', 'proved', Q).tell('b', 'owned', Q).heardLate(5)
  expect(check(before.tell('b', 'proving', Q).tell('b', 'proved', Q))).toEqual([['shared', 0, 3, 1, 4]])
})

it('tells queues apart', () => {
  const R = { queue: 'r' }
  const story = new Story().tell('a', 'owned', Q).tell('b', 'owned', R).tell('a', 'proving', Q).tell('a', 'proved', Q)
  expect(check(story.tell('b', 'proving', R).tell('b', 'proved', R))).toEqual([])
})

it('sees a queue leave an owner whose session lives', () => {
  const story = new Story().tell('a', 'owned', Q).tell('a', 'proving', Q)
  expect(check(story.tell('a', 'vanished', { ...Q, error: 'NotFound' }))).toEqual([['vanished', 0, 2]])
})
