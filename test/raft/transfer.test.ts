/**
 * Handing leadership over (dissertation §3.10): what the leader does until its successor stands, and what that one is given.
 */
import { describe, expect, test } from 'vitest'
import { Cluster } from './support/cluster.ts'
import { heartbeat, leaderOf, ofType, Solo, TRIO, voteRequest } from './support/solo.ts'

const TUNING = { electionTicks: 10, heartbeatTicks: 2 }

function established() {
  const leader = leaderOf()
  for (const from of ['n2', 'n3']) leader.accepts(from, 2)
  leader.take()
  return leader
}

describe('a leader that hands over', () => {
  test('makes the named one leader within a few messages, in the next term', () => {
    const cluster = new Cluster(TRIO, { tuning: TUNING })
    const former = cluster.elect()
    const { term } = former.status
    const [target] = cluster.followers()
    expect(former.core.transferLeadership(target!.id)).toBe(true)
    cluster.settle()
    expect(target!.status).toMatchObject({ role: 'leader', term: term + 1, established: true })
    for (const node of cluster.nodes.values()) expect(node.status.leader).toBe(target!.id)
  })

  test('brings its target up to its own log first, and takes no proposals meanwhile', () => {
    const leader = established()
    leader.propose('a')
    leader.sync()
    expect(leader.core.transferLeadership('n2')).toBe(true)
    leader.carryOut()
    expect(ofType(leader.take(), 'timeoutNow')).toEqual([])
    expect(leader.propose('b')).toBeUndefined()
    expect(leader.core.changeMembership({ type: 'remove', id: 'n3' })).toBe('changePending')
    expect(leader.status.transferee).toBe('n2')
    expect(ofType(leader.accepts('n2', 3), 'timeoutNow')).toMatchObject([{ to: 'n2', term: 2 }])
  })

  test('of itself chooses who has caught up best', () => {
    const leader = established()
    leader.propose('a')
    leader.sync()
    leader.accepts('n3', 3)
    expect(leader.core.transferLeadership()).toBe(true)
    leader.carryOut()
    expect(ofType(leader.take(), 'timeoutNow')).toMatchObject([{ to: 'n3' }])
  })

  test('goes on after an election timeout in which nobody took over', () => {
    const leader = established()
    leader.core.transferLeadership('n2')
    for (let i = 0; i < 6; i++) {
      leader.ticks(10)
      for (const from of ['n2', 'n3']) leader.hears(from, { type: 'heartbeatResponse', term: 2, round: 0 })
    }
    expect(leader.status).toMatchObject({ role: 'leader', transferee: undefined })
    expect(leader.propose('on')).toBeDefined()
  })

  test('goes on at once when the link to its target closes', () => {
    const leader = established()
    leader.core.transferLeadership('n2')
    leader.core.peerDown('n2')
    expect(leader.propose('on')).toBeDefined()
  })

  test('tells its target again, since messages are lost', () => {
    const leader = established()
    leader.core.transferLeadership('n2')
    leader.sync()
    const told = ofType(leader.take(), 'timeoutNow').length
    leader.ticks(10)
    const again = leader.hears('n2', { type: 'heartbeatResponse', term: 2, round: 0 })
    expect([told, ofType(again, 'timeoutNow').length]).toEqual([1, 1])
  })

  test('refuses a second target, and repeats of the first change nothing', () => {
    const leader = established()
    expect(leader.core.transferLeadership('n2')).toBe(true)
    expect(leader.core.transferLeadership('n2')).toBe(true)
    expect(leader.core.transferLeadership('n3')).toBe(false)
  })

  test('does not hand over to a learner, a stranger, itself, one in doubt or one whose log is not known', () => {
    const leader = established()
    leader.core.changeMembership({ type: 'addLearner', member: { id: 'n4', incarnation: 'n4.1' } })
    leader.sync()
    for (const from of ['n2', 'n3', 'n4']) leader.accepts(from, 3)
    for (const id of ['n1', 'n4', 'n9']) expect(leader.core.transferLeadership(id)).toBe(false)
    leader.hears('n2', { type: 'heartbeatResponse', term: 2, round: 0, doubt: 7 })
    expect(leader.core.transferLeadership('n2')).toBe(false)
    leader.core.peerUp('n3')
    expect(leader.core.transferLeadership()).toBe(false)
  })

  test('who does not lead hands nothing over', () => {
    expect(new Solo().core.transferLeadership()).toBe(false)
  })
})

describe('the one that is to take over', () => {
  const timeoutNow = (term: number) => ({ type: 'timeoutNow', term }) as const

  test('campaigns at once, without a pre-vote, and says whose wish it is', () => {
    const solo = new Solo()
    solo.hears('n2', heartbeat(1))
    const sent = solo.hears('n2', timeoutNow(1))
    expect(sent).toMatchObject([
      { type: 'voteRequest', pre: false, term: 2, transfer: true, to: 'n2' },
      { type: 'voteRequest', pre: false, term: 2, transfer: true, to: 'n3' },
    ])
  })

  test('does so for the leader that it follows alone, in that term', () => {
    const solo = new Solo({ terms: [1, 3] })
    solo.hears('n2', heartbeat(3))
    expect(solo.hears('n3', timeoutNow(3))).toEqual([])
    expect(solo.hears('n2', timeoutNow(2))).toEqual([])
    expect(solo.status).toMatchObject({ role: 'follower', term: 3 })
  })

  test('gets votes from those who hear the leader, which others do not (dissertation §4.2.3)', () => {
    const solo = new Solo()
    solo.hears('n2', heartbeat(1))
    expect(solo.hears('n3', voteRequest(2, 1, 1))).toEqual([])
    expect(solo.hears('n3', { ...voteRequest(2, 1, 1), transfer: true })).toMatchObject([{ granted: true, term: 2 }])
  })

  test('gets none for a log that is behind, however the leader wished it (§5.4.1)', () => {
    const solo = new Solo({ terms: [1, 1] })
    solo.hears('n2', heartbeat(1))
    expect(solo.hears('n3', { ...voteRequest(2, 1, 1), transfer: true })).toMatchObject([{ granted: false }])
  })
})
