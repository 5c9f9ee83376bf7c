/**
 * One test for each rule that is taken from Ongaro's dissertation ("Consensus: Bridging Theory and Practice") beyond the
 * paper: PreVote, CheckQuorum and leases against disruption, ReadIndex, the leader's parallel write. By its sections.
 */
import { describe, expect, test } from 'vitest'
import type { Message } from '../../raft/index.ts'
import { heartbeat, leaderOf, ofType, Solo, vote, voteRequest } from './support/solo.ts'

describe('diss. §10.2.1 the leader writes to its disk in parallel', () => {
  test('appends leave before the own sync, and the leader counts itself only after it (trap 4)', () => {
    const leader = leaderOf()
    leader.accepts('n2', 2)
    leader.propose('a')
    leader.carryOut()
    expect(ofType(leader.take(), 'appendRequest').length).toBeGreaterThan(0)
    leader.core.step({
      from: 'n2',
      to: 'n1',
      fromIncarnation: 'n2.1',
      toIncarnation: 'n1.1',
      term: 2,
      type: 'appendResponse',
      success: true,
      index: 3,
      hintIndex: 0,
      hintTerm: 0,
      doubt: 0,
    })
    leader.carryOut()
    expect(leader.status.commitIndex).toBe(2)
    leader.sync()
    expect(leader.status.commitIndex).toBe(3)
  })

  test('a majority of followers commits without it', () => {
    const leader = leaderOf()
    leader.propose('a')
    leader.carryOut()
    for (const from of ['n2', 'n3']) {
      const accepted = { type: 'appendResponse', success: true, index: 3, hintIndex: 0, hintTerm: 0, doubt: 0 } as const
      const envelope = { from, to: 'n1', fromIncarnation: `${from}.1`, toIncarnation: 'n1.1', term: 2 }
      leader.core.step({ ...envelope, ...accepted })
    }
    expect(leader.status).toMatchObject({ commitIndex: 3, persistedIndex: 2 })
  })

  test('a single member commits nothing before its own sync (trap 4)', () => {
    const leader = leaderOf([1], { ids: ['n1'] })
    leader.propose('a')
    leader.carryOut()
    expect(leader.status.commitIndex).toBe(2)
    leader.sync()
    expect(leader.status.commitIndex).toBe(3)
  })
})

describe('diss. §9.6 PreVote', () => {
  test('a member asks before it raises its term', () => {
    const solo = new Solo({ terms: [1, 1] })
    expect(solo.ticks(60)).toMatchObject([
      { type: 'voteRequest', pre: true, term: 2, to: 'n2', lastIndex: 2, lastTerm: 1 },
      { type: 'voteRequest', pre: true, term: 2, to: 'n3' },
    ])
    expect(solo.status).toMatchObject({ role: 'preCandidate', term: 1 })
  })

  test('whoever cannot win leaves its term alone, however long it tries (trap 7)', () => {
    const solo = new Solo()
    solo.ticks(2000)
    expect(solo.status).toMatchObject({ term: 1, elections: 0 })
  })

  test('a granted pre-vote binds nobody: neither term nor vote nor timer change', () => {
    const solo = new Solo()
    solo.ticks(59)
    for (const from of ['n2', 'n3']) {
      expect(solo.hears(from, voteRequest(2, 1, 1, true))).toMatchObject([{ pre: true, granted: true, term: 2 }])
    }
    expect(solo.status.term).toBe(1)
    expect(solo.ticks(1)).toHaveLength(2)
    expect(solo.readies.some((ready) => ready.hardState !== undefined)).toBe(false)
  })

  test('a pre-vote that a majority refuses ends the campaign', () => {
    const solo = new Solo()
    solo.ticks(60)
    solo.hears('n2', vote(1, false, true))
    solo.hears('n3', vote(1, false, true))
    expect(solo.status).toMatchObject({ role: 'follower', term: 1 })
  })

  test('grants of an older round do not count', () => {
    const solo = new Solo()
    solo.ticks(60)
    solo.hears('n2', heartbeat(4))
    solo.ticks(60)
    expect(solo.status).toMatchObject({ role: 'preCandidate', term: 4 })
    solo.hears('n2', vote(4, true, true))
    expect(solo.status.role).toBe('preCandidate')
    solo.hears('n2', vote(5, true, true))
    expect(solo.status).toMatchObject({ role: 'candidate', term: 5 })
  })

  test('a pre-vote grant does not count as a vote', () => {
    const solo = new Solo()
    solo.ticks(60)
    solo.hears('n2', vote(2, true, true))
    solo.hears('n3', vote(2, true, true))
    expect(solo.status.role).toBe('candidate')
  })
})

describe('diss. §4.2.3 disruptive members', () => {
  test.each([true, false])(
    'who has heard a leader within an election timeout ignores requests (pre: %s, trap 8)',
    (pre) => {
      const solo = new Solo()
      solo.hears('n2', heartbeat(1))
      solo.ticks(59)
      expect(solo.hears('n3', voteRequest(9, 9, 8, pre))).toEqual([])
      expect(solo.status).toMatchObject({ term: 1, leader: 'n2' })
    },
  )

  test('and answers them after it', () => {
    const solo = new Solo({ random: 0.9 })
    solo.hears('n2', heartbeat(1))
    solo.ticks(60)
    expect(solo.hears('n3', voteRequest(9, 9, 8))).toMatchObject([{ granted: true }])
  })

  test('a leader ignores them as long as it leads', () => {
    const leader = leaderOf()
    expect(leader.hears('n3', voteRequest(9, 9, 8))).toEqual([])
    expect(leader.status).toMatchObject({ role: 'leader', term: 2 })
  })
})

describe('diss. §6.2 a leader without a majority', () => {
  test('steps down after an election timeout, and takes no proposals from then on (traps 8, 9)', () => {
    const leader = leaderOf()
    leader.ticks(60)
    expect(leader.propose('a')).toBeDefined()
    leader.ticks(1)
    expect(leader.status).toMatchObject({ role: 'follower', term: 2, leader: undefined })
    expect(leader.propose('b')).toBeUndefined()
  })

  test('leads on as long as a majority answers', () => {
    const leader = leaderOf()
    for (let i = 0; i < 20; i++) {
      leader.ticks(30)
      leader.hears('n3', { type: 'heartbeatResponse', term: 2, round: 0 })
    }
    expect(leader.status.role).toBe('leader')
  })

  test('in a joint membership or of five, a minority that answers is not enough', () => {
    const leader = leaderOf([1], { ids: ['n1', 'n2', 'n3', 'n4', 'n5'] })
    for (let i = 0; i < 3; i++) {
      leader.ticks(30)
      leader.hears('n3', { type: 'heartbeatResponse', term: 2, round: 0 })
    }
    expect(leader.status.role).toBe('follower')
  })
})

describe('diss. §6.4 ReadIndex', () => {
  const answer = (round: number) => ({ type: 'heartbeatResponse', term: 2, round }) as const
  const readsOf = (solo: Solo) => solo.readies.flatMap((ready) => ready.reads)
  const roundOf = (messages: readonly Message[]) => ofType(messages, 'heartbeat')[0]!.round

  function established(): Solo {
    const leader = leaderOf()
    leader.accepts('n2', 2)
    leader.take()
    return leader
  }

  function ask(solo: Solo, requestId: number): Message[] {
    solo.core.readIndex(requestId)
    solo.carryOut()
    return solo.take()
  }

  test('1. nothing is answered before the leader has committed an entry of its term (trap 10)', () => {
    const leader = leaderOf()
    expect(ofType(ask(leader, 1), 'heartbeat')).toEqual([])
    const begun = leader.accepts('n2', 2)
    expect(roundOf(begun)).toBe(1)
    leader.hears('n2', answer(1))
    expect(readsOf(leader)).toEqual([{ requestId: 1, index: 2 }])
  })

  test('2. the answer is the commit index at the time of the question', () => {
    const leader = established()
    ask(leader, 1)
    leader.propose('later')
    leader.sync()
    leader.accepts('n2', 3)
    leader.hears('n2', answer(1))
    expect(leader.status.commitIndex).toBe(3)
    expect(readsOf(leader)).toEqual([{ requestId: 1, index: 2 }])
  })

  test('3. a majority must answer a heartbeat that was sent after the question', () => {
    const leader = established()
    const first = roundOf(ask(leader, 1))
    leader.hears('n2', answer(first))
    const second = roundOf(ask(leader, 2))
    leader.hears('n3', answer(first))
    leader.hears('n2', answer(first))
    expect(readsOf(leader).map((read) => read.requestId)).toEqual([1])
    leader.hears('n3', answer(second))
    expect(readsOf(leader).map((read) => read.requestId)).toEqual([1, 2])
  })

  test('questions of one turn share a round, and a later round confirms the earlier', () => {
    const leader = established()
    leader.core.readIndex(1)
    leader.core.readIndex(2)
    leader.carryOut()
    expect(ofType(leader.take(), 'heartbeat')).toHaveLength(2)
    const later = roundOf(ask(leader, 3))
    leader.hears('n2', answer(later))
    expect(readsOf(leader).map((read) => read.requestId)).toEqual([1, 2, 3])
  })

  test('a leader that is replaced answers none of its open questions', () => {
    const leader = established()
    ask(leader, 1)
    leader.hears('n3', heartbeat(3))
    leader.hears('n2', answer(1))
    expect(readsOf(leader)).toEqual([{ requestId: 1, index: -1 }])
  })

  test('a follower asks its leader and passes the answer on', () => {
    const solo = new Solo()
    solo.hears('n2', heartbeat(1))
    expect(ask(solo, 77)).toMatchObject([{ type: 'readRequest', to: 'n2', toIncarnation: 'n2.1', requestId: 77 }])
    solo.hears('n2', { type: 'readResponse', term: 1, requestId: 77, index: 12 })
    expect(readsOf(solo)).toEqual([{ requestId: 77, index: 12 }])
  })

  test('a follower that knows no leader says so at once', () => {
    const solo = new Solo()
    ask(solo, 5)
    expect(readsOf(solo)).toEqual([{ requestId: 5, index: -1 }])
  })

  test('a leader answers followers like itself, and whoever does not lead says that it cannot', () => {
    const leader = established()
    leader.hears('n3', { type: 'readRequest', term: 2, requestId: 9 })
    const answers = ofType(leader.hears('n2', answer(1)), 'readResponse')
    expect(answers).toMatchObject([{ to: 'n3', toIncarnation: 'n3.1', requestId: 9, index: 2 }])
    const follower = new Solo()
    const refused = follower.hears('n3', { type: 'readRequest', term: 1, requestId: 9 })
    expect(refused).toMatchObject([{ type: 'readResponse', requestId: 9, index: -1 }])
  })

  test('a question from a follower that is a term behind is answered too: it asks about now', () => {
    const leader = established()
    leader.hears('n3', { type: 'readRequest', term: 1, requestId: 9 })
    expect(ofType(leader.hears('n2', answer(1)), 'readResponse')).toMatchObject([{ requestId: 9, index: 2 }])
  })

  test('a single member answers at once', () => {
    const leader = leaderOf([1], { ids: ['n1'] })
    ask(leader, 1)
    expect(readsOf(leader)).toEqual([{ requestId: 1, index: 2 }])
  })

  test('more open questions than a leader may keep are refused, not gathered without end', () => {
    const leader = established()
    for (let requestId = 0; requestId < 10_001; requestId++) leader.core.readIndex(requestId)
    leader.carryOut()
    expect(readsOf(leader)).toEqual([{ requestId: 10_000, index: -1 }])
  })
})
