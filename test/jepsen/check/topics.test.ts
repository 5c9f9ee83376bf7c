import { expect, it } from 'vitest'
import { matches } from '../../../jepsen-lite/check/topics.ts'

it.each([
  ['a.b', 'a.b', true],
  ['a.b', 'a.c', false],
  ['a.b', 'a.b.c', false],
  ['a.*', 'a.b', true],
  ['a.*', 'a', false],
  ['*.b', 'a.b', true],
  ['a.#', 'a', true],
  ['a.#', 'a.b.c', true],
  ['#.c', 'a.b.c', true],
  ['#.c', 'a.b.d', false],
  ['a.#.c', 'a.c', true],
  ['#', 'a.b', true],
])('the pattern %s and the topic %s: %s', (pattern, topic, answer) => {
  expect(matches(pattern, topic)).toBe(answer)
})
