import { describe, expect, it } from 'vitest'
import { patternProblem, queueNameProblem, topicProblem } from '../../wire/names.ts'
import { fc } from '../support/property.ts'

const good = ['a', 'orders.created', 'ü.ñ.日本', 'a-b_c:d/e', 'x'.repeat(255), Array(32).fill('w').join('.')]
const bad = [
  '',
  '.',
  'a.',
  '.a',
  'a..b',
  'a b',
  'a\tb',
  'a\nb',
  'a\u0000',
  'a\u007f',
  'a\u00a0b',
  'x'.repeat(256),
  'ü'.repeat(128),
  Array(33).fill('w').join('.'),
]

describe('names', () => {
  it.each(good)('%s is a topic, a pattern and a queue name', (name) => {
    expect([topicProblem(name), patternProblem(name), queueNameProblem(name)]).toEqual([
      undefined,
      undefined,
      undefined,
    ])
  })

  it.each(bad)('%j is none of them', (name) => {
    for (const problem of [topicProblem(name), patternProblem(name), queueNameProblem(name)]) {
      expect(problem).toBeTypeOf('string')
    }
  })

  it.each(['*', '#', 'a.*', '#.b', 'a.*.#'])('%s is a pattern, and neither a topic nor a queue name', (name) => {
    expect(patternProblem(name)).toBeUndefined()
    expect(topicProblem(name)).toBeTypeOf('string')
    expect(queueNameProblem(name)).toBeTypeOf('string')
  })

  it.each(['a*', '*a', 'a.b#', '**', '#*'])('%s is no pattern: a wildcard is a whole word', (name) => {
    expect(patternProblem(name)).toBeTypeOf('string')
  })

  it('are judged without a throw, whatever they are', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (name) => {
        for (const problem of [topicProblem(name), patternProblem(name), queueNameProblem(name)]) {
          expect(problem === undefined || problem.length > 0).toBe(true)
        }
      }),
    )
  })
})
