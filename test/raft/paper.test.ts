/**
 * One test for each rule of the Raft paper (Ongaro & Ousterhout, "In Search of an Understandable Consensus Algorithm",
 * extended version), by its sections. dissertation.test.ts has the rules that the paper leaves to Ongaro's dissertation.
 */
import { describe, expect, test } from 'vitest'
import { EntryType, encodeMembership } from '../../raft/index.ts'
import { Cluster } from './support/cluster.ts'
import {
  appendOf,
  foundedLog,
  heartbeat,
  leaderOf,
  ofType,
  Solo,
  sentBy,
  TRIO,
  type Unsent,
  vote,
  voteRequest,
} from './support/solo.ts'

const termsOf = (solo: Solo) => solo.log.map((entry) => entry.term)

describe('§5.1 terms', () => {
  const laterMessages: readonly Unsent[] = [
    appendOf(7, 0, 0),
    heartbeat(7),
    voteRequest(7, 0, 0),
    vote(7, false),
    { type: 'appendResponse', term: 7, success: false, index: 0, hintIndex: 0, hintTerm: 0 },
    { type: 'heartbeatResponse', term: 7, round: 0 },
    { type: 'readRequest', term: 7, requestId: 1 },
  ]

  test.each(laterMessages)('a follower takes over the later term of a $type', (message) => {
    const solo = new Solo({ terms: [1] })
    solo.hears('n2', message)
    expect(solo.status.term).toBe(7)
    expect(solo.readies.at(-1)!.hardState ?? solo.readies.find((ready) => ready.hardState)?.hardState).toMatchObject({
      term: 7,
    })
  })

  test.each(laterMessages.filter((message) => message.type !== 'voteRequest'))(
    'a leader that hears of a later term by a $type becomes a follower',
    (message) => {
      const leader = leaderOf()
      leader.hears('n2', message)
      expect(leader.status).toMatchObject({ role: 'follower', term: 7 })
    },
  )

  test('a candidate that hears of a later term becomes a follower', () => {
    const solo = new Solo({ terms: [1] })
    solo.ticks(60)
    solo.hears('n2', vote(2, true, true))
    expect(solo.status).toMatchObject({ role: 'candidate', term: 2 })
    solo.hears('n3', vote(5, false))
    expect(solo.status).toMatchObject({ role: 'follower', term: 5 })
  })

  test('requests of a former term are refused, and the answer tells the newer one', () => {
    const solo = new Solo({ terms: [1, 5] })
    for (const stale of [appendOf(3, 1, 1, [3]), heartbeat(3), voteRequest(3, 9, 3), voteRequest(3, 9, 3, true)]) {
      const [answer, ...others] = solo.hears('n2', stale)
      expect(others).toEqual([])
      expect(answer).toMatchObject({ term: 5, to: 'n2' })
      expect(answer).toMatchObject(answer!.type === 'voteResponse' ? { granted: false } : { success: false })
    }
    expect(termsOf(solo)).toEqual([1, 5])
  })

  test('the refusal of an append of a former term hints like any other: its sender may lead the newer term by now', () => {
    const solo = new Solo({ terms: [1, 2, 2, 5] })
    const [answer] = solo.hears('n2', appendOf(3, 3, 2))
    expect(answer).toMatchObject({ success: false, index: 3, hintIndex: 3, hintTerm: 2 })
  })
})

describe('§5.2 leader election', () => {
  test('a member starts as a follower', () => {
    expect(new Solo().status).toMatchObject({ role: 'follower', leader: undefined })
  })

  test('a follower that hears its leader stays one', () => {
    const solo = new Solo()
    for (let i = 0; i < 10; i++) {
      expect(ofType(solo.ticks(50), 'voteRequest')).toEqual([])
      solo.hears('n2', heartbeat(1))
    }
    expect(solo.status).toMatchObject({ role: 'follower', leader: 'n2', term: 1 })
  })

  test('appends too prove that the leader is there', () => {
    const solo = new Solo()
    for (let i = 0; i < 10; i++) {
      expect(solo.ticks(50)).toEqual([])
      solo.hears('n2', appendOf(1, 1, 1))
    }
  })

  test('a follower that hears nobody for its timeout asks everyone, in the next term and with its own vote given', () => {
    const solo = new Solo()
    solo.ticks(60)
    const requests = ofType(solo.hears('n2', vote(2, true, true)), 'voteRequest')
    expect(requests.map(({ to, term, pre }) => ({ to, term, pre }))).toEqual([
      { to: 'n2', term: 2, pre: false },
      { to: 'n3', term: 2, pre: false },
    ])
    expect(solo.readies.find((ready) => ready.hardState)?.hardState).toMatchObject({ term: 2, vote: 'n1' })
  })

  test.each([
    { random: 0, timeout: 60 },
    { random: 0.5, timeout: 90 },
    { random: 0.9999, timeout: 119 },
  ])('the timeout is drawn anew between one and two election timeouts: dice $random, $timeout ticks', (drawn) => {
    const solo = new Solo({ random: drawn.random })
    for (let campaigns = 0; campaigns < 3; campaigns++) {
      expect(solo.ticks(drawn.timeout - 1)).toEqual([])
      expect(solo.ticks(1)).toHaveLength(2)
    }
  })

  test('a majority of votes makes a leader, and not less', () => {
    const solo = new Solo({ ids: ['n1', 'n2', 'n3', 'n4', 'n5'] })
    solo.ticks(60)
    solo.hears('n2', vote(2, true, true))
    solo.hears('n3', vote(2, true, true))
    solo.hears('n2', vote(2, true))
    solo.hears('n2', vote(2, true))
    expect(solo.status.role).toBe('candidate')
    solo.hears('n5', vote(2, true))
    expect(solo.status).toMatchObject({ role: 'leader', leader: 'n1', term: 2 })
  })

  test('a candidate that a majority refuses becomes a follower again', () => {
    const solo = new Solo()
    solo.ticks(60)
    solo.hears('n2', vote(2, true, true))
    solo.hears('n2', vote(2, false))
    expect(solo.status.role).toBe('candidate')
    solo.hears('n3', vote(2, false))
    expect(solo.status).toMatchObject({ role: 'follower', term: 2 })
  })

  test('a candidate in a split vote campaigns again in a new term after its timeout', () => {
    const solo = new Solo()
    solo.ticks(60)
    solo.hears('n2', vote(2, true, true))
    expect(solo.status).toMatchObject({ role: 'candidate', term: 2 })
    solo.ticks(60)
    solo.hears('n2', vote(3, true, true))
    expect(solo.status).toMatchObject({ role: 'candidate', term: 3 })
  })

  test.each([appendOf(2, 1, 1), heartbeat(2)])(
    'a candidate follows whoever leads in its term, told by $type',
    (message) => {
      const solo = new Solo()
      solo.ticks(60)
      solo.hears('n2', vote(2, true, true))
      solo.hears('n3', message)
      expect(solo.status).toMatchObject({ role: 'follower', leader: 'n3', term: 2 })
    },
  )

  test('at most one vote is given in a term, first come first served', () => {
    const solo = new Solo()
    expect(solo.hears('n2', voteRequest(5, 1, 1))).toMatchObject([{ granted: true, term: 5 }])
    expect(solo.hears('n3', voteRequest(5, 9, 4))).toMatchObject([{ granted: false, term: 5 }])
    expect(solo.hears('n2', voteRequest(5, 1, 1))).toMatchObject([{ granted: true, term: 5 }])
    expect(solo.hears('n3', voteRequest(6, 1, 1))).toMatchObject([{ granted: true, term: 6 }])
  })

  test('no vote is given in a term whose leader is known already', () => {
    const solo = new Solo()
    solo.hears('n2', heartbeat(5))
    expect(solo.hears('n3', voteRequest(5, 9, 4))).toMatchObject([{ granted: false, term: 5 }])
  })

  test('a vote is remembered across a restart', () => {
    const solo = new Solo({ hardState: { term: 5, vote: 'n2' } })
    expect(solo.hears('n3', voteRequest(5, 9, 4))).toMatchObject([{ granted: false }])
  })

  test('a vote of a former life is not given again either: only the id is known of whom it was for (trap 19)', () => {
    const solo = new Solo({ hardState: { term: 5, vote: 'n2' } })
    expect(solo.hears('n2', voteRequest(5, 1, 1))).toMatchObject([{ granted: false }])
    expect(solo.hears('n2', voteRequest(6, 1, 1))).toMatchObject([{ granted: true }])
  })

  test('a repeated request gets the same vote, but not another incarnation of the same id', () => {
    const solo = new Solo()
    const request = voteRequest(2, 1, 1)
    for (let i = 0; i < 2; i++) expect(solo.hears('n2', request)).toMatchObject([{ granted: true }])
    solo.core.step({ ...sentBy('n2', 'n1', request), fromIncarnation: 'n2.2' })
    solo.carryOut()
    solo.sync()
    expect(ofType(solo.take(), 'voteResponse')).toMatchObject([{ granted: false, toIncarnation: 'n2.2' }])
  })

  test('whoever gives its vote waits a whole timeout before it campaigns', () => {
    const solo = new Solo()
    solo.ticks(59)
    solo.hears('n2', voteRequest(2, 1, 1))
    expect(solo.ticks(59)).toEqual([])
    expect(solo.ticks(1)).toHaveLength(2)
  })

  test('whoever refuses its vote waits no longer for that', () => {
    const solo = new Solo({ terms: [1, 1] })
    solo.ticks(59)
    expect(solo.hears('n2', voteRequest(2, 1, 1))).toMatchObject([{ granted: false }])
    expect(solo.ticks(1)).toHaveLength(2)
  })

  test('a leader tells all that it lives, every heartbeat interval', () => {
    const leader = leaderOf()
    leader.accepts('n2', 2)
    leader.accepts('n3', 2)
    expect(leader.ticks(9)).toEqual([])
    for (let beats = 0; beats < 3; beats++) {
      expect(leader.ticks(1).map(({ type, to }) => ({ type, to }))).toEqual([
        { type: 'heartbeat', to: 'n2' },
        { type: 'heartbeat', to: 'n3' },
      ])
      leader.hears('n2', { type: 'heartbeatResponse', term: 2, round: 0 })
      leader.ticks(9)
    }
  })

  test('what a member seems to have said to itself is dropped', () => {
    const leader = leaderOf()
    expect(leader.hears('n1', heartbeat(2))).toEqual([])
    expect(leader.status.role).toBe('leader')
  })

  test('two leaders in one term end the process', () => {
    const leader = leaderOf()
    expect(() => leader.hears('n2', heartbeat(2))).toThrow('invariant 3')
    const follower = new Solo()
    follower.hears('n2', heartbeat(1))
    expect(() => follower.hears('n3', appendOf(1, 1, 1))).toThrow('invariant 3')
  })
})

describe('§5.3 log replication', () => {
  test('a leader appends what is proposed and sends it to all at once', () => {
    const leader = leaderOf()
    leader.accepts('n2', 2)
    leader.accepts('n3', 2)
    expect(leader.propose('a')).toEqual({ term: 2, index: 3 })
    leader.carryOut()
    const appends = ofType(leader.take(), 'appendRequest')
    expect(appends.map(({ to, prevIndex, prevTerm }) => ({ to, prevIndex, prevTerm }))).toEqual([
      { to: 'n2', prevIndex: 2, prevTerm: 2 },
      { to: 'n3', prevIndex: 2, prevTerm: 2 },
    ])
    for (const { entries } of appends) expect(entries).toEqual([leader.log[2]])
  })

  test('nobody but a leader takes proposals', () => {
    const solo = new Solo()
    expect(solo.propose('a')).toBeUndefined()
    solo.ticks(60)
    expect(solo.propose('a')).toBeUndefined()
    solo.hears('n2', heartbeat(3))
    expect(solo.propose('a')).toBeUndefined()
    expect(solo.log).toHaveLength(1)
  })

  test.each([
    { ids: ['n1'], accepting: [], committed: true },
    { ids: ['n1', 'n2', 'n3'], accepting: [], committed: false },
    { ids: ['n1', 'n2', 'n3'], accepting: ['n3'], committed: true },
    { ids: ['n1', 'n2', 'n3', 'n4', 'n5'], accepting: ['n3'], committed: false },
    { ids: ['n1', 'n2', 'n3', 'n4', 'n5'], accepting: ['n3', 'n5'], committed: true },
  ])('an entry held by the leader and $accepting of $ids is committed: $committed', ({ ids, accepting, committed }) => {
    const leader = leaderOf([1], { ids })
    const { index } = leader.propose('a')!
    leader.sync()
    for (const id of accepting) leader.accepts(id, index)
    expect(leader.status.commitIndex >= index).toBe(committed)
  })

  test('committing an entry commits all before it, those of former leaders included', () => {
    const leader = leaderOf([1, 1, 2])
    expect(leader.status.commitIndex).toBe(0)
    leader.accepts('n2', 4)
    expect(leader.committed).toEqual([4])
  })

  test('followers learn the commit index at once, by an append of its own if nothing else is to be sent', () => {
    const leader = leaderOf()
    leader.accepts('n3', 1)
    const told = ofType(leader.accepts('n2', 2), 'appendRequest')
    expect(told).toMatchObject([
      { to: 'n2', commit: 2, prevIndex: 2, entries: [] },
      { to: 'n3', commit: 2, prevIndex: 2, entries: [] },
    ])
    expect(leader.accepts('n2', 2)).toEqual([])
  })

  test('a follower commits what the leader has committed, as far as it holds it', () => {
    const solo = new Solo({ terms: [1, 1] })
    solo.hears('n2', appendOf(1, 2, 1, [1], 9))
    expect(solo.status.commitIndex).toBe(3)
  })

  test('a follower commits nothing beyond what the append proved to be equal (figure 2, rule 5)', () => {
    const solo = new Solo({ terms: [1, 1, 1, 1] })
    solo.hears('n2', appendOf(2, 1, 1, [1], 4))
    expect(solo.status.commitIndex).toBe(2)
  })

  test.each([
    { prevIndex: 1, prevTerm: 1, success: true },
    { prevIndex: 2, prevTerm: 2, success: true },
    { prevIndex: 0, prevTerm: 0, success: true },
    { prevIndex: 2, prevTerm: 3, success: false },
    { prevIndex: 1, prevTerm: 3, success: false },
    { prevIndex: 3, prevTerm: 3, success: false },
  ])('a log of terms 1, 2 takes an append after $prevIndex@$prevTerm: $success', ({ prevIndex, prevTerm, success }) => {
    const solo = new Solo({ terms: [1, 2] })
    const index = prevIndex
    expect(solo.hears('n2', appendOf(3, prevIndex, prevTerm))).toMatchObject([
      { type: 'appendResponse', success, index },
    ])
  })

  test.each([
    { prev: [2, 2], entries: [3], log: [1, 2, 3] },
    { prev: [1, 1], entries: [3, 4], log: [1, 3, 4] },
    { prev: [1, 1], entries: [2], log: [1, 2] },
    { prev: [1, 1], entries: [3], log: [1, 3] },
    { prev: [1, 1], entries: [], log: [1, 2] },
  ])('a log of terms 1, 2 becomes $log by $entries after $prev', ({ prev, entries, log }) => {
    const solo = new Solo({ terms: [1, 2] })
    solo.hears('n2', appendOf(4, prev[0]!, prev[1]!, entries))
    expect(termsOf(solo)).toEqual(log)
    expect(solo.status.lastIndex).toBe(log.length)
  })

  test('a late, shorter append does not shorten the log', () => {
    const solo = new Solo({ terms: [1, 2, 2, 2] })
    expect(solo.hears('n2', appendOf(2, 1, 1, [2]))).toMatchObject([{ success: true, index: 2 }])
    expect(solo.status.lastIndex).toBe(4)
  })

  test('a leader goes back for a follower that refuses, whole terms at a step, and then sends what is missing', () => {
    const leader = leaderOf([1, 1, 1, 5, 5, 5, 5])
    const refused = { type: 'appendResponse', term: 6, success: false, index: 7, hintIndex: 3, hintTerm: 1 } as const
    const [append] = ofType(leader.hears('n2', refused), 'appendRequest')
    expect(append).toMatchObject({ to: 'n2', prevIndex: 3, prevTerm: 1 })
  })

  test.each([
    { terms: [1, 1, 1], prev: [7, 5], hint: [3, 1] },
    { terms: [1, 1, 3, 3, 3], prev: [4, 2], hint: [2, 1] },
    { terms: [1, 1, 3, 3, 5], prev: [5, 4], hint: [4, 3] },
    { terms: [2, 2, 2, 2, 2], prev: [4, 1], hint: [0, 0] },
  ])('a log of terms $terms refuses an append after $prev with the hint $hint (trap 12)', ({ terms, prev, hint }) => {
    const solo = new Solo({ terms })
    const [answer] = solo.hears('n2', appendOf(6, prev[0]!, prev[1]!))
    expect(answer).toMatchObject({ success: false, index: prev[0], hintIndex: hint[0], hintTerm: hint[1] })
  })

  // Figure 7: what a follower may hold when the leader of term 8 comes to power.
  const leaderTerms = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6]
  test.each([
    { name: 'a: misses the last entry', terms: [1, 1, 1, 4, 4, 5, 5, 6, 6] },
    { name: 'b: misses many', terms: [1, 1, 1, 4] },
    { name: 'c: one too many', terms: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6] },
    { name: 'd: a later term of its own', terms: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7] },
    { name: 'e: misses some and has others', terms: [1, 1, 1, 4, 4, 4, 4] },
    { name: 'f: two terms that nobody else has', terms: [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3] },
  ])('§5.3, figure 7: the log of a follower becomes the leader’s: $name', ({ terms }) => {
    const logs = {
      n1: { log: foundedLog(TRIO, leaderTerms), hardState: { term: 7, vote: '', commit: 0 } },
      n2: { log: foundedLog(TRIO, terms), hardState: { term: 7, vote: '', commit: 0 } },
      n3: { log: foundedLog(TRIO, leaderTerms.slice(0, 1)), hardState: { term: 7, vote: '', commit: 0 } },
    }
    const cluster = new Cluster(TRIO, { logs })
    // n2 may hold more than n1; n3 holds less than both, so n1 wins by n3's vote.
    cluster.campaign('n1')
    expect(cluster.leader?.id).toBe('n1')
    cluster.tick(15)
    const expected = cluster.node('n1').log.map(({ term, index }) => ({ term, index }))
    expect(expected.slice(0, -1).map(({ term }) => term)).toEqual(leaderTerms)
    for (const id of ['n2', 'n3']) {
      expect(cluster.node(id).log.map(({ term, index }) => ({ term, index }))).toEqual(expected)
    }
  })
})

describe('§5.4 safety', () => {
  test.each([
    { candidate: [2, 2], granted: true },
    { candidate: [3, 2], granted: true },
    { candidate: [1, 2], granted: false },
    { candidate: [5, 1], granted: false },
    { candidate: [1, 3], granted: true },
  ])('§5.4.1 a voter whose log ends at 2 in term 2 grants an end of $candidate: $granted', ({ candidate, granted }) => {
    for (const pre of [true, false]) {
      const solo = new Solo({ terms: [1, 2] })
      const request = voteRequest(4, candidate[0]!, candidate[1]!, pre)
      expect(solo.hears('n2', request)).toMatchObject([{ type: 'voteResponse', pre, granted }])
    }
  })

  test('§5.4.2, figure 8: a leader commits an older term’s entry only through one of its own (trap 3)', () => {
    const leader = leaderOf([1, 2, 2])
    leader.accepts('n2', 3)
    leader.accepts('n3', 3)
    expect(leader.status.commitIndex).toBe(0)
    leader.accepts('n2', 4)
    expect(leader.status.commitIndex).toBe(4)
  })

  test('§5.4.2 committed entries are never cut: an append that would do so ends the process', () => {
    const solo = new Solo({ terms: [1, 1, 1] })
    solo.hears('n2', appendOf(1, 3, 1, [], 3))
    expect(() => solo.hears('n2', appendOf(2, 1, 1, [2]))).toThrow('invariant 4')
  })
})

describe('§5.5 crashes of followers and candidates', () => {
  test('a repeated append changes nothing and is answered again', () => {
    const solo = new Solo()
    const append = appendOf(1, 1, 1, [1, 1], 2)
    const first = solo.hears('n2', append)
    expect(solo.hears('n2', append)).toEqual(first)
    expect(termsOf(solo)).toEqual([1, 1, 1])
  })

  test('a vote request and an append are answered only once what they depend on is synced (trap 1)', () => {
    const solo = new Solo()
    expect(solo.hearsUnsynced('n2', voteRequest(2, 1, 1))).toEqual([])
    solo.sync()
    expect(ofType(solo.take(), 'voteResponse')).toMatchObject([{ granted: true }])
    expect(solo.hearsUnsynced('n2', appendOf(2, 1, 1, [2]))).toEqual([])
    solo.sync()
    expect(ofType(solo.take(), 'appendResponse')).toMatchObject([{ success: true, index: 2 }])
  })

  test('so are refusals (trap 1)', () => {
    const solo = new Solo()
    expect(solo.hearsUnsynced('n2', appendOf(2, 7, 2))).toEqual([])
    expect(solo.hearsUnsynced('n2', voteRequest(2, 0, 0))).toEqual([])
    solo.sync()
    expect(solo.take()).toMatchObject([{ success: false }, { granted: false }])
  })

  test('a candidate asks only once its own vote and its log’s end are synced', () => {
    const solo = new Solo()
    solo.ticks(60)
    expect(ofType(solo.hearsUnsynced('n2', vote(2, true, true)), 'voteRequest')).toEqual([])
    solo.sync()
    expect(ofType(solo.take(), 'voteRequest')).toMatchObject([{ pre: false }, { pre: false }])
  })

  test('a heartbeat is answered without waiting for the disk: the answer promises nothing about it', () => {
    const solo = new Solo()
    expect(solo.hearsUnsynced('n2', heartbeat(2, 0, 7))).toMatchObject([{ type: 'heartbeatResponse', round: 7 }])
  })
})

describe('§6 membership', () => {
  const voters = ['n1', 'n2', 'n3', 'n4', 'n5'].map((id) => ({ id, incarnation: `${id}.1` }))
  const ofFive = encodeMembership({ clusterId: 'cluster', voters, votersOutgoing: [], learners: [] })

  test('the latest membership of the log is in force as soon as it is held, and the former one if it is cut (trap 18)', () => {
    const solo = new Solo()
    const entry = { index: 2, term: 1, type: EntryType.membership, data: ofFive }
    solo.hears('n2', { ...appendOf(1, 1, 1), entries: [entry] })
    expect(solo.status.membership?.voters).toHaveLength(5)
    solo.hears('n3', appendOf(2, 1, 1, [2]))
    expect(solo.status.membership?.voters).toHaveLength(3)
  })

  test('in a joint membership both majorities elect and commit', () => {
    const member = (id: string) => ({ id, incarnation: `${id}.1` })
    const joint = { voters: ['n1', 'n2', 'n3'].map(member), votersOutgoing: ['n1', 'n4', 'n5'].map(member) }
    const solo = new Solo()
    const data = encodeMembership({ clusterId: 'cluster', ...joint, learners: [] })
    solo.hears('n2', { ...appendOf(1, 1, 1), entries: [{ index: 2, term: 1, type: EntryType.membership, data }] })
    solo.ticks(60)
    for (const pre of [true, false]) {
      solo.hears('n2', vote(2, true, pre))
      solo.hears('n3', vote(2, true, pre))
      expect(solo.status.role).toBe(pre ? 'preCandidate' : 'candidate')
      solo.hears('n4', vote(2, true, pre))
    }
    expect(solo.status.role).toBe('leader')
    solo.accepts('n2', 3)
    expect(solo.status.commitIndex).toBe(0)
    solo.accepts('n5', 3)
    expect(solo.status.commitIndex).toBe(3)
  })

  test('while an incarnation is replaced by another, each counts in its own majority alone (trap 19)', () => {
    const member = (id: string) => ({ id, incarnation: `${id}.1` })
    const joint = {
      voters: ['n1', 'n2', 'n3'].map(member),
      votersOutgoing: [member('n1'), { id: 'n2', incarnation: 'n2.0' }, member('n3')],
    }
    const solo = new Solo()
    const data = encodeMembership({ clusterId: 'cluster', ...joint, learners: [] })
    solo.hears('n3', { ...appendOf(1, 1, 1), entries: [{ index: 2, term: 1, type: EntryType.membership, data }] })
    solo.ticks(60)
    solo.hears('n2', vote(2, true, true))
    expect(solo.status.role).toBe('preCandidate')
    solo.hears('n3', vote(2, true, true))
    for (const from of ['n2', 'n3']) solo.hears(from, vote(2, true))
    expect(solo.status.role).toBe('leader')
    solo.accepts('n2', 3)
    expect(solo.status.commitIndex).toBe(0)
    solo.accepts('n3', 3)
    expect(solo.status.commitIndex).toBe(3)
  })

  test('a learner gets the log and answers votes (trap 17), but neither counts nor campaigns', () => {
    const listed = { clusterId: 'cluster', voters: voters.slice(0, 2), votersOutgoing: [], learners: [voters[2]!] }
    const entry = { index: 2, term: 1, type: EntryType.membership, data: encodeMembership(listed) }
    const leader = new Solo()
    leader.hears('n2', { ...appendOf(1, 1, 1), entries: [entry] })
    leader.ticks(60)
    leader.hears('n3', vote(2, true, true))
    expect(leader.status.role).toBe('preCandidate')
    leader.hears('n2', vote(2, true, true))
    leader.hears('n2', vote(2, true))
    expect(leader.status.peers.map((peer) => peer.id)).toEqual(['n2', 'n3'])
    leader.accepts('n3', 3)
    expect(leader.status.commitIndex).toBe(0)

    const learner = new Solo({ id: 'n3' })
    learner.hears('n2', { ...appendOf(1, 1, 1), entries: [entry] })
    expect(learner.status.isVoter).toBe(false)
    expect(learner.ticks(500)).toEqual([])
    expect(learner.hears('n1', voteRequest(2, 2, 1))).toMatchObject([{ granted: true }])
  })
})

describe('§8 and diss. §6.4: what a new leader does first', () => {
  test('§8 it appends a no-op of its term and sends it', () => {
    const solo = new Solo({ terms: [1, 1] })
    solo.win()
    expect(solo.log.at(-1)).toMatchObject({ index: 3, term: 2, type: EntryType.noop })
    expect(solo.log.at(-1)!.data).toHaveLength(0)
  })

  test('§8 it is established once that no-op is applied', () => {
    const leader = leaderOf()
    expect(leader.status.established).toBe(false)
    leader.accepts('n2', 2)
    expect(leader.status.established).toBe(true)
    expect(leader.readies.filter((ready) => ready.leadership?.established)).toHaveLength(1)
  })
})
