import { expect, it } from 'vitest'
import { Bindings } from '../../../jepsen-lite/check/bindings.ts'
import { operationsOf } from '../../../jepsen-lite/check/operations.ts'
import { Story } from './story.ts'

const A = { pattern: 'a.*' }
const bindings = (story: Story) => new Bindings(operationsOf(story.history))

it('is bound from the confirmation of a bind to the invocation of an unbind', () => {
  const bound = bindings(new Story().wait(1).did(0, 'bind', A).did(0, 'publish', {}).did(0, 'unbind', A))
  // 0 bind, 1 ok, 2 publish, 3 ok, 4 unbind, 5 ok
  expect(bound.during('a.b', 2, 3)).toBe('yes')
  expect(bound.during('b.b', 2, 3)).toBe('no')
  expect(bound.during('a.b', 6, 7)).toBe('no')
  expect(bound.during('a.b', -1, -1)).toBe('no')
})

it('is nobody knows what while a bind or an unbind is under way', () => {
  const bound = bindings(new Story().did(0, 'bind', A).did(0, 'unbind', A))
  expect(bound.during('a.b', 0.5, 0.7)).toBe('unknown')
  expect(bound.during('a.b', 1.5, 2.5)).toBe('unknown')
  expect(bound.during('a.b', 0, 9)).toBe('unknown')
  expect(bound.during('a.b', 1.5, 1.7)).toBe('yes')
})

it('changes nothing by what failed, and nothing certain by what nobody knows', () => {
  const failed = bindings(new Story().invoke(0, 'bind', A).fail(0))
  expect(failed.during('a.b', 2, 3)).toBe('no')
  const unknown = bindings(new Story().invoke(0, 'bind', A).info(0))
  expect(unknown.during('a.b', 2, 3)).toBe('unknown')
})

it('stays certain when what is bound is bound again', () => {
  const bound = bindings(new Story().did(0, 'bind', A).invoke(0, 'bind', A).info(0))
  expect(bound.during('a.b', 2, Number.POSITIVE_INFINITY)).toBe('yes')
})

it('is bound to a topic by any of several patterns', () => {
  const story = new Story().did(0, 'bind', A).did(0, 'bind', { pattern: '*.b' }).did(0, 'unbind', A)
  expect(bindings(story).during('a.b', 3.5, 9)).toBe('yes')
  expect(bindings(story).during('a.c', 3.5, 9)).toBe('unknown')
  expect(bindings(story).during('a.c', 6, 9)).toBe('no')
})
