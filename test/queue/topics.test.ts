import { describe, expect, it } from 'vitest'
import { TopicTrie } from '../../node/queue/topics.ts'
import { fc } from '../support/property.ts'
import { matches } from './model.ts'

const word = fc.constantFrom('a', 'b', 'c')
const patternWord = fc.constantFrom('a', 'b', 'c', '*', '#', '#')
const topic = fc.array(word, { minLength: 1, maxLength: 6 }).map((words) => words.join('.'))
const pattern = fc.array(patternWord, { minLength: 1, maxLength: 6 }).map((words) => words.join('.'))

describe('a topic trie', () => {
  it('finds what matches by definition, each once, while patterns come and go', () => {
    const binding = fc.record({ pattern, value: fc.nat({ max: 4 }), remove: fc.boolean() })
    fc.assert(
      fc.property(fc.array(binding, { maxLength: 30 }), fc.array(topic, { maxLength: 10 }), (bindings, topics) => {
        const trie = new TopicTrie<number>()
        const bound = new Map<string, [string, number]>()
        for (const each of bindings) {
          if (each.remove) trie.remove(each.pattern, each.value)
          else trie.add(each.pattern, each.value)
          if (each.remove) bound.delete(`${each.pattern} ${each.value}`)
          else bound.set(`${each.pattern} ${each.value}`, [each.pattern, each.value])
        }
        for (const each of topics) {
          const expected = [...bound.values()].filter(([known]) => matches(known.split('.'), each.split('.')))
          expect([...trie.match(each)].sort()).toEqual([...new Set(expected.map(([, value]) => value))].sort())
        }
      }),
      { numRuns: 300 },
    )
  })

  it.each([
    ['a.*', 'a.b', true],
    ['a.*', 'a', false],
    ['a.*', 'a.b.c', false],
    ['a.#', 'a', true],
    ['a.#', 'a.b.c', true],
    ['#', 'a.b', true],
    ['#.c', 'c', true],
    ['#.c', 'a.b.c', true],
    ['#.c', 'a.c.b', false],
    ['a.#.c', 'a.c', true],
    ['a.#.#.c', 'a.b.b.c', true],
    ['*.#', 'a', true],
    ['#.*', 'a', true],
    ['*.*', 'a', false],
  ])('%s and %s: %s', (known, name, expected) => {
    const trie = new TopicTrie<string>()
    trie.add(known, 'value')
    expect(trie.match(name).has('value')).toBe(expected)
    trie.remove(known, 'value')
    expect(trie.match(name).size).toBe(0)
  })

  it('visits no more nodes for a topic when patterns are added that do not match it', () => {
    const trie = new TopicTrie<string>()
    for (const each of ['orders.*.created', 'orders.#', 'orders.eu.created', '#.created', '*.eu.#'])
      trie.add(each, each)
    const cost = () => {
      const before = trie.visits
      trie.match('orders.eu.created')
      return trie.visits - before
    }
    const alone = cost()
    for (let i = 0; i < 20_000; i++) trie.add(`orders${i}.eu.created`, `${i}`)
    for (let i = 0; i < 20_000; i++) trie.add(`orders.eu${i}.#`, `${i}`)
    for (let i = 0; i < 20_000; i++) trie.add(`orders.eu.created${i}.*`, `${i}`)
    expect(cost()).toBe(alone)
  })

  it('matches a pattern full of # in a bounded number of visits', () => {
    const trie = new TopicTrie<string>()
    trie.add(new Array(16).fill('#.a').join('.'), 'value')
    expect([...trie.match(new Array(32).fill('a').join('.'))]).toEqual(['value'])
    expect(trie.visits).toBeLessThan(33 * 33)
  })

  it('keeps nothing of patterns that are gone', () => {
    const trie = new TopicTrie<string>()
    for (let i = 0; i < 100; i++) trie.add(`a.${i}.#.*`, 'value')
    for (let i = 0; i < 100; i++) trie.remove(`a.${i}.#.*`, 'value')
    trie.remove('a.b', 'value')
    trie.match('a.5.x.y')
    expect(trie.visits).toBe(1)
  })
})
