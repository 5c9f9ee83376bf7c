import { describe, expect, test } from 'vitest'
import { type Electorate, reachedByQuorum, voteResult } from '../../raft/quorum.ts'
import { fc } from '../support/property.ts'

const config = fc.record({
  voters: fc.uniqueArray(fc.integer({ min: 0, max: 8 }), { minLength: 1, maxLength: 7 }),
  votersOutgoing: fc.uniqueArray(fc.integer({ min: 0, max: 8 }), { maxLength: 7 }),
})

/** The definition: more than half of each list that has members. */
function isQuorum(electorate: Electorate<number>, members: ReadonlySet<number>): boolean {
  return [electorate.voters, electorate.votersOutgoing].every((list) => {
    return list.length === 0 || list.filter((member) => members.has(member)).length * 2 > list.length
  })
}

describe('the value that a quorum has reached', () => {
  test.each([
    { voters: [5], reached: 5 },
    { voters: [5, 3], reached: 3 },
    { voters: [5, 3, 9], reached: 5 },
    { voters: [5, 3, 9, 1], reached: 3 },
    { voters: [7, 7, 2, 9, 1], reached: 7 },
  ])('of $voters is $reached', ({ voters, reached }) => {
    expect(reachedByQuorum({ voters, votersOutgoing: [] }, (value) => value)).toBe(reached)
  })

  test('needs both majorities while a change is under way (§6)', () => {
    expect(reachedByQuorum({ voters: [9, 9, 1], votersOutgoing: [4, 2, 1] }, (value) => value)).toBe(2)
  })

  test('is the greatest value with a quorum at or above it', () => {
    const values = fc.array(fc.nat({ max: 6 }), { minLength: 9, maxLength: 9 })
    fc.assert(
      fc.property(config, values, (electorate, reached) => {
        const quorumAt = (value: number) => {
          const members = reached.flatMap((each, member) => (each >= value ? [member] : []))
          return isQuorum(electorate, new Set(members))
        }
        const greatest = [6, 5, 4, 3, 2, 1, 0].find(quorumAt)
        expect(reachedByQuorum(electorate, (member) => reached[member]!)).toBe(greatest)
      }),
    )
  })
})

describe('the result of an election', () => {
  test.each([
    { votes: 'y', result: 'won' },
    { votes: 'y?', result: 'pending' },
    { votes: 'yn', result: 'lost' },
    { votes: 'yy?', result: 'won' },
    { votes: 'yn?', result: 'pending' },
    { votes: 'ynn', result: 'lost' },
    { votes: 'yynn', result: 'lost' },
    { votes: 'yyn?', result: 'pending' },
    { votes: 'yy???', result: 'pending' },
    { votes: 'yyynn', result: 'won' },
  ])('of $votes is $result', ({ votes, result }) => {
    const voters = [...votes].map((_, at) => at)
    const voteOf = (at: number) => ({ y: true, n: false })[votes[at]!]
    expect(voteResult({ voters, votersOutgoing: [] }, voteOf)).toBe(result)
  })

  test('is won if the granted are a quorum, lost if not even all the missing could help', () => {
    const answers = fc.array(fc.constantFrom(true, false, undefined), { minLength: 9, maxLength: 9 })
    fc.assert(
      fc.property(config, answers, (electorate, votes) => {
        const withVote = (...wanted: unknown[]) =>
          new Set(votes.flatMap((vote, member) => (wanted.includes(vote) ? [member] : [])))
        const canWin = isQuorum(electorate, withVote(true, undefined))
        const expected = isQuorum(electorate, withVote(true)) ? 'won' : canWin ? 'pending' : 'lost'
        expect(voteResult(electorate, (member) => votes[member])).toBe(expected)
      }),
    )
  })
})
