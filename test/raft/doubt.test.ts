/**
 * Members whose disk may have forgotten what it had promised: what they still may do, what counts, and how it ends (trap 22;
 * raft/doubt.ts has the argument). Stories of clusters first, then the rules one by one.
 */
import { describe, expect, test } from 'vitest'
import type { Message } from '../../raft/index.ts'
import { Cluster } from './support/cluster.ts'
import { heartbeat, leaderOf, ofType, Solo, TRIO, vote, voteRequest } from './support/solo.ts'
import type { TestNode } from './support/test-node.ts'

const FIVE = ['n1', 'n2', 'n3', 'n4', 'n5'] as const
const TUNING = { electionTicks: 10, heartbeatTicks: 2 }

function founded(ids: readonly string[] = TRIO): Cluster {
  const cluster = new Cluster(ids, { tuning: TUNING })
  cluster.elect()
  cluster.tick(3)
  return cluster
}

/** Loses all but the first `kept` entries, and comes back. */
function forgets(cluster: Cluster, node: TestNode, kept = 1): void {
  node.forget(kept)
  cluster.restart(node.id)
}

describe('a cluster with a member in doubt', () => {
  test('has it back without anybody doing anything, idle as it is', () => {
    const cluster = founded()
    cluster.propose('a')
    cluster.settle()
    const [victim] = cluster.followers()
    forgets(cluster, victim!)
    cluster.tick(10)
    expect(victim!.status.doubt).toBe(0)
    expect(victim!.appliedTexts).toEqual(['a'])
    expect(cluster.leader!.status.peers.map(({ doubt }) => doubt)).toEqual([0, 0])
  })

  test('does not commit with it, nor lead by it', () => {
    const cluster = founded()
    const leader = cluster.leader!
    const [victim, other] = cluster.followers()
    cluster.crash(other!.id)
    forgets(cluster, victim!)
    cluster.propose('a')
    cluster.tick(5)
    expect(leader.appliedTexts).toEqual([])
    expect(leader.status.peers.find(({ id }) => id === victim!.id)!.doubt).toBeGreaterThan(0)
    cluster.tick(30)
    expect(cluster.leader).toBeUndefined()
  })

  test('does not lose what two had and one forgot, though the third is the only other one left', () => {
    const cluster = founded()
    const leader = cluster.leader!
    const [victim, behind] = cluster.followers()
    cluster.isolate(behind!.id)
    cluster.propose('committed')
    cluster.settle()
    expect(leader.appliedTexts).toEqual(['committed'])
    cluster.crash(leader.id)
    forgets(cluster, victim!)
    cluster.heal()
    cluster.tick(300)
    expect(cluster.leader).toBeUndefined()
    cluster.restart(leader.id)
    cluster.elect()
    cluster.tick(10)
    for (const node of cluster.nodes.values()) expect(node.appliedTexts).toEqual(['committed'])
    expect(victim!.status.doubt).toBe(0)
  })

  test('and another that is down waits for it: then all voters answer', () => {
    const cluster = founded()
    const [one, two, three] = [...cluster.nodes.values()]
    for (const node of [one, two, three]) cluster.crash(node!.id)
    forgets(cluster, one!)
    cluster.restart(two!.id)
    cluster.tick(200)
    expect(cluster.leader).toBeUndefined()
    cluster.restart(three!.id)
    cluster.elect()
    cluster.tick(5)
    expect(one!.status.doubt).toBe(0)
  })

  test.each([{ ids: TRIO }, { ids: FIVE }])(
    'comes back when it lost power as a whole and everybody doubts: $ids',
    ({ ids }) => {
      const cluster = founded(ids)
      cluster.propose('a')
      cluster.tick(3)
      for (const node of cluster.nodes.values()) {
        // The last entry is unsure on each disk, as it turns out it is still there.
        node.forget(node.log.length)
        cluster.restart(node.id)
      }
      cluster.elect()
      cluster.tick(5)
      for (const node of cluster.nodes.values()) {
        expect(node.status.doubt).toBe(0)
        expect(node.appliedTexts).toEqual(['a'])
      }
    },
  )

  test('of five goes on without two that are in doubt, and elects without them', () => {
    const cluster = founded(FIVE)
    const leader = cluster.leader!
    const [a, b] = cluster.followers()
    cluster.propose('a')
    cluster.settle()
    for (const node of [a, b]) node!.forget(1)
    cluster.crash(leader.id)
    cluster.restart(leader.id)
    cluster.elect()
    for (const node of [a, b]) cluster.restart(node!.id)
    cluster.tick(10)
    for (const node of cluster.nodes.values()) expect(node.status.doubt).toBe(0)
  })

  test('of five with two in doubt and one dead commits nothing, and has no leader until the dead one is back', () => {
    const cluster = founded(FIVE)
    const leader = cluster.leader!
    const [a, b, dead] = cluster.followers()
    for (const node of [a, b]) forgets(cluster, node!)
    cluster.crash(dead!.id)
    cluster.propose('x')
    cluster.tick(5)
    expect(leader.appliedTexts).toEqual([])
    cluster.tick(100)
    expect(cluster.leader).toBeUndefined()
    cluster.restart(dead!.id)
    cluster.elect()
  })

  test('alone is all voters itself', () => {
    const cluster = founded(['n1'])
    cluster.propose('a')
    cluster.settle()
    const [only] = [...cluster.nodes.values()]
    forgets(cluster, only!, 3)
    expect(only!.status.doubt).toBeGreaterThan(0)
    cluster.elect()
    cluster.tick(1)
    expect(only!.status.doubt).toBe(0)
    expect(only!.appliedTexts).toEqual(['a'])
  })

  test('of which every log was lost founds no new one', () => {
    const cluster = founded()
    for (const node of cluster.nodes.values()) forgets(cluster, node, 0)
    cluster.tick(300)
    expect(cluster.leader).toBeUndefined()
    for (const node of cluster.nodes.values()) expect(node.status).toMatchObject({ lastIndex: 0, elections: 0 })
  })

  test('that was never founded is founded by all, and whoever was in doubt is trusted with entry 1', () => {
    const cluster = new Cluster(TRIO)
    const victim = cluster.node('n2')
    forgets(cluster, victim, 0)
    cluster.elect()
    cluster.tick(20)
    expect(victim.status).toMatchObject({ doubt: 0, isVoter: true })
    expect(cluster.leader!.status.membership!.voters.map(({ id }) => id)).toEqual([...TRIO])
  })

  test('that was never founded may be founded by a member in doubt', () => {
    const cluster = new Cluster(TRIO)
    for (const node of cluster.nodes.values()) forgets(cluster, node, 0)
    cluster.elect()
    cluster.tick(20)
    for (const node of cluster.nodes.values()) expect(node.status.doubt).toBe(0)
  })

  test('during a change of members needs all voters of both lists', () => {
    const cluster = founded()
    cluster.add('n4')
    cluster.leader!.core.changeMembership({ type: 'addLearner', member: { id: 'n4', incarnation: 'n4.1' } })
    cluster.tick(5)
    const leader = cluster.leader!
    const [victim, other] = cluster.followers()
    // The joint membership reaches everybody, and no commit of it comes back.
    cluster.drop = ({ type }) => type === 'appendResponse'
    expect(leader.core.changeMembership({ type: 'promote', id: 'n4' })).toMatchObject({})
    cluster.settle()
    for (const node of cluster.nodes.values()) expect(node.status.membership!.votersOutgoing).toHaveLength(3)
    for (const node of cluster.nodes.values()) cluster.crash(node.id)
    cluster.drop = () => false
    // n1, n2 and n3 would be a majority of both; one of them is in doubt, and one of the others is away.
    victim!.forget(victim!.log.length)
    for (const id of [victim!.id, leader.id, 'n4']) cluster.restart(id)
    cluster.crash(other!.id)
    cluster.tick(200)
    expect(cluster.leader).toBeUndefined()
    cluster.restart(other!.id)
    cluster.elect()
    cluster.tick(10)
    expect(victim!.status).toMatchObject({ doubt: 0, isVoter: true })
    expect(cluster.leader!.status.membership!.votersOutgoing).toEqual([])
  })

  test('promotes no learner that is in doubt', () => {
    const leader = leaderOf()
    leader.accepts('n2', 2)
    leader.core.changeMembership({ type: 'addLearner', member: { id: 'n4', incarnation: 'n4.1' } })
    leader.sync()
    leader.accepts('n2', 3)
    leader.hears('n4', {
      type: 'appendResponse',
      term: 2,
      success: true,
      index: 3,
      hintIndex: 0,
      hintTerm: 0,
      doubt: 5,
    })
    expect(leader.core.changeMembership({ type: 'promote', id: 'n4' })).toBe('notCaughtUp')
  })
})

describe('what a leader counts', () => {
  const accepted = (index: number, doubt: number) =>
    ({ type: 'appendResponse', term: 2, success: true, index, hintIndex: 0, hintTerm: 0, doubt }) as const

  function established(): Solo {
    const leader = leaderOf()
    leader.accepts('n2', 2)
    leader.take()
    return leader
  }

  test('what it knew of a peer is void when it hears of its doubt, and what arrives late of before is dropped', () => {
    const leader = established()
    leader.propose('a')
    leader.sync()
    leader.hears('n2', { type: 'heartbeatResponse', term: 2, round: 0, doubt: 5 })
    expect(leader.status.peers[0]).toMatchObject({ id: 'n2', matchIndex: 0, mode: 'probe', doubt: 5 })
    leader.hears('n2', accepted(3, 0))
    expect(leader.status).toMatchObject({ commitIndex: 2 })
    leader.hears('n2', accepted(3, 5))
    expect(leader.status.commitIndex).toBe(2)
    expect(leader.status.peers[0]).toMatchObject({ matchIndex: 3, doubt: 5 })
  })

  test('a peer is whole again once it holds an entry from after its return that others committed', () => {
    const leader = established()
    leader.hears('n2', { type: 'heartbeatResponse', term: 2, round: 0, doubt: 5 })
    // Hearing of it, the leader has appended entry 3 for just this.
    leader.hears('n2', accepted(2, 5))
    expect(ofType(leader.ticks(10), 'heartbeat').find(({ to }) => to === 'n2')).toMatchObject({ trusted: 0 })
    leader.accepts('n3', 3)
    expect(leader.status.commitIndex).toBe(3)
    expect(ofType(leader.ticks(10), 'heartbeat').find(({ to }) => to === 'n2')).toMatchObject({ trusted: 0 })
    leader.hears('n2', accepted(3, 5))
    expect(ofType(leader.ticks(10), 'heartbeat').find(({ to }) => to === 'n2')).toMatchObject({ trusted: 5 })
    leader.propose('with it')
    leader.sync()
    leader.hears('n2', accepted(4, 0))
    expect(leader.status.commitIndex).toBe(4)
  })

  test('not by an entry of before, though that is committed', () => {
    const leader = established()
    leader.propose('a')
    leader.sync()
    leader.hears('n2', { type: 'heartbeatResponse', term: 2, round: 0, doubt: 5 })
    leader.accepts('n3', 3)
    leader.hears('n2', accepted(3, 5))
    expect(ofType(leader.ticks(10), 'heartbeat').find(({ to }) => to === 'n2')).toMatchObject({ trusted: 0 })
  })

  test('a peer that forgets again is in doubt again, and answers of between are dropped', () => {
    const leader = established()
    leader.hears('n2', { type: 'heartbeatResponse', term: 2, round: 0, doubt: 5 })
    leader.hears('n2', { type: 'heartbeatResponse', term: 2, round: 0, doubt: 6 })
    leader.accepts('n3', 4)
    leader.hears('n2', accepted(4, 5))
    expect(leader.status.peers[0]).toMatchObject({ matchIndex: 0, doubt: 6 })
    expect(ofType(leader.ticks(10), 'heartbeat').find(({ to }) => to === 'n2')).toMatchObject({ trusted: 0 })
  })

  test('its heartbeats keep no lease', () => {
    const leader = established()
    for (let i = 0; i < 3; i++) {
      leader.ticks(30)
      leader.hears('n2', { type: 'heartbeatResponse', term: 2, round: 0, doubt: 5 })
    }
    expect(leader.status.role).toBe('follower')
  })

  test('its heartbeats confirm no read', () => {
    const leader = established()
    leader.core.readIndex(1)
    leader.carryOut()
    leader.hears('n2', { type: 'heartbeatResponse', term: 2, round: 1, doubt: 5 })
    expect(leader.readies.flatMap(({ reads }) => reads)).toEqual([])
    leader.hears('n3', { type: 'heartbeatResponse', term: 2, round: 1 })
    expect(leader.readies.flatMap(({ reads }) => reads)).toHaveLength(1)
  })
})

describe('votes in doubt', () => {
  test('count only when all voters grant: the vote as well as the pre-vote', () => {
    const solo = new Solo()
    solo.ticks(60)
    solo.hears('n2', { ...vote(2, true, true), doubt: 5 })
    expect(solo.status.role).toBe('preCandidate')
    solo.hears('n3', vote(2, true, true))
    expect(solo.status.role).toBe('candidate')
    const other = new Solo()
    other.ticks(60)
    other.hears('n2', vote(2, true, true))
    other.hears('n2', { ...vote(2, true), doubt: 5 })
    expect(other.status.role).toBe('candidate')
    other.hears('n3', vote(2, true))
    expect(other.status.role).toBe('leader')
  })

  test('nobody gets a pre-vote for a term in which it has the vote already: it has forgotten that, perhaps with a reign', () => {
    // What it sent in that reign may still be under way, and would be taken for what it sends when it leads that term again.
    const solo = new Solo()
    expect(solo.hears('n2', voteRequest(2, 1, 1))).toMatchObject([{ granted: true }])
    expect(solo.hears('n2', voteRequest(2, 1, 1, true))).toMatchObject([{ granted: false }])
    expect(solo.hears('n2', voteRequest(3, 1, 1, true))).toMatchObject([{ granted: true }])
  })

  test('two in doubt and a refusal elect nobody: the one that refuses may hold what they forgot', () => {
    const solo = new Solo({ ids: FIVE })
    solo.ticks(60)
    for (const from of ['n2', 'n3']) solo.hears(from, { ...vote(2, true, true), doubt: 5 })
    solo.hears('n4', vote(2, true, true))
    expect(solo.status.role).toBe('preCandidate')
    solo.hears('n5', vote(1, false, true))
    expect(solo.status.role).toBe('follower')
  })

  test('a vote that was forgotten and given again makes no second leader of a term', () => {
    // n2 is a candidate of term 2 and has n3's vote under way to it; n3 forgets it. n1 asked for pre-votes before all that.
    const cluster = new Cluster(TRIO, { tuning: TUNING })
    cluster.elect()
    cluster.tick(3)
    for (const { id } of cluster.nodes.values()) {
      cluster.crash(id)
      cluster.restart(id)
    }
    const [n1, n2, n3] = [...cluster.nodes.values()]
    const late = (from: string) => {
      const kept = cluster.network.filter((message) => message.from === from)
      cluster.network.length = 0
      return kept
    }
    const pump = (node: TestNode) => {
      while (cluster.carryOut(node.id)) while (cluster.sync(node.id));
      while (cluster.sync(node.id));
    }
    cluster.tickAlone('n1', 20)
    pump(n1!)
    const asked = late('n1')
    cluster.deliverOne(asked.find(({ to }) => to === 'n2')!)
    pump(n2!)
    const answered = late('n2')
    cluster.tickAlone('n2', 20)
    pump(n2!)
    cluster.deliverOne(late('n2').find(({ to }) => to === 'n3')!)
    pump(n3!)
    for (const message of late('n3')) cluster.deliverOne(message)
    pump(n2!)
    cluster.deliverOne(late('n2').find(({ to }) => to === 'n3')!)
    pump(n3!)
    const voted = late('n3')
    expect(ofType(voted, 'voteResponse')).toMatchObject([
      { to: 'n2', granted: true, pre: false, term: n2!.status.term },
    ])
    forgets(cluster, n3!, 2)
    cluster.deliverOne(asked.find(({ to }) => to === 'n3')!)
    pump(n3!)
    for (const message of [...answered, ...late('n3')]) cluster.deliverOne(message)
    pump(n1!)
    for (const message of late('n1')) cluster.deliverOne(message)
    pump(n3!)
    for (const message of [...voted, ...late('n3')]) cluster.deliverOne(message)
    cluster.settle()
    expect(n2!.roles.some(({ role }) => role === 'leader')).toBe(true)
    expect(n1!.roles.some(({ role }) => role === 'leader')).toBe(false)
    cluster.tick(20)
    expect(n3!.status.doubt).toBe(0)
  })

  test('what a voter granted to the life before the doubt counts for nothing: it was asked for a log that is lost', () => {
    // A voter has voted for it while it held a committed entry that the other lacks. The answers come when it has forgotten entry and vote.
    const cluster = founded()
    const { id: one } = cluster.leader!
    const [voter, other] = cluster.followers().map(({ id }) => id) as [string, string]
    cluster.isolate(other)
    const kept = cluster.node(other).status.lastIndex
    cluster.propose('committed')
    cluster.settle()
    cluster.heal()
    for (const { id } of cluster.nodes.values()) {
      cluster.crash(id)
      cluster.restart(id)
    }
    /** What the node has to say after all its writes. */
    const said = (id: string) => {
      while (cluster.carryOut(id)) while (cluster.sync(id));
      while (cluster.sync(id));
      return cluster.network.splice(0)
    }
    const asks = (id: string) => {
      cluster.tickAlone(id, 20)
      return said(id)
    }
    const tell = (to: string, messages: readonly Message[]) => {
      for (const message of messages) if (message.to === to) cluster.deliverOne(message)
      return said(to)
    }
    const asked = asks(one)
    const late = tell(voter, asked)
    late.push(...tell(voter, tell(one, tell(other, asked))))
    expect(late).toMatchObject([
      { type: 'voteResponse', to: one, granted: true, pre: true },
      { type: 'voteResponse', to: one, granted: true, pre: false },
    ])
    forgets(cluster, cluster.node(one), kept)
    const stood = tell(one, [late[0]!, ...tell(other, asks(one))])
    tell(one, [late[1]!, ...tell(other, stood)])
    expect(cluster.node(one).roles.map(({ role }) => role)).not.toContain('leader')
    cluster.elect()
    cluster.tick(20)
    for (const node of cluster.nodes.values()) expect(node.appliedTexts).toEqual(['committed'])
  })

  test('a leader that all elected counts those in doubt at once, and tells them when its first entry is committed', () => {
    const solo = new Solo()
    solo.ticks(60)
    for (const pre of [true, false]) {
      solo.hears('n2', { ...vote(2, true, pre), doubt: 5 })
      solo.hears('n3', { ...vote(2, true, pre), doubt: 6 })
    }
    expect(solo.status.role).toBe('leader')
    expect(ofType(solo.ticks(10), 'heartbeat')).toMatchObject([{ trusted: 0 }, { trusted: 0 }])
    const accepted = { type: 'appendResponse', term: 2, success: true, index: 2, hintIndex: 0, hintTerm: 0 } as const
    solo.hears('n2', { ...accepted, doubt: 5 })
    expect(solo.status.commitIndex).toBe(2)
    expect(ofType(solo.ticks(10), 'heartbeat')).toMatchObject([
      { to: 'n2', trusted: 5 },
      { to: 'n3', trusted: 0 },
    ])
  })

  test('a leader that a majority elected does not count them for that they voted too', () => {
    const solo = new Solo({ ids: FIVE })
    solo.ticks(60)
    for (const pre of [true, false]) {
      solo.hears('n2', { ...vote(2, true, pre), doubt: 5 })
      solo.hears('n3', vote(2, true, pre))
      solo.hears('n4', vote(2, true, pre))
    }
    expect(solo.status.role).toBe('leader')
    const accepted = { type: 'appendResponse', term: 2, success: true, index: 2, hintIndex: 0, hintTerm: 0 } as const
    solo.hears('n2', { ...accepted, doubt: 5 })
    solo.accepts('n3', 2)
    expect(solo.status.commitIndex).toBe(0)
    solo.accepts('n4', 2)
    expect(solo.status.commitIndex).toBe(2)
  })
})

describe('a member in doubt', () => {
  const inDoubt = (terms: readonly number[], hardState = {}) => new Solo({ terms, hardState, doubt: 5 })

  test('votes, promises and answers as ever, and says what it is', () => {
    const solo = inDoubt([1])
    expect(solo.hears('n2', voteRequest(2, 1, 1))).toMatchObject([{ granted: true, doubt: 5 }])
    expect(solo.readies.at(-1)!.hardState).toMatchObject({ term: 2, vote: 'n2' })
    expect(solo.hears('n3', voteRequest(2, 9, 1))).toMatchObject([{ granted: false, doubt: 5 }])
    expect(solo.hears('n2', heartbeat(2))).toMatchObject([{ type: 'heartbeatResponse', doubt: 5 }])
    const entries = [{ index: 2, term: 2, type: 0, data: new Uint8Array(0) }] as const
    const append = { type: 'appendRequest', term: 2, prevIndex: 1, prevTerm: 1, entries, commit: 0 } as const
    expect(solo.hears('n2', append)).toMatchObject([{ success: true, doubt: 5 }])
    expect(solo.hears('n2', { ...append, prevIndex: 9 })).toMatchObject([{ success: false, doubt: 5 }])
    expect(solo.hears('n3', heartbeat(1))).toMatchObject([{ success: false, doubt: 5 }])
  })

  test('believes no commit index but one that comes with entries that it holds', () => {
    const solo = inDoubt([1, 1, 1], { commit: 3 })
    expect(solo.status.commitIndex).toBe(0)
    // More than it holds: the leader does not know yet what was lost.
    solo.hears('n2', heartbeat(1, 9))
    expect(solo.status.commitIndex).toBe(0)
    solo.hears('n2', { type: 'appendRequest', term: 1, prevIndex: 2, prevTerm: 1, entries: [], commit: 9 })
    expect(solo.status.commitIndex).toBe(2)
  })

  test('is whole again when the leader says so of this doubt, not of another', () => {
    const solo = inDoubt([1])
    solo.hears('n2', { ...heartbeat(1), trusted: 4 })
    expect(solo.status.doubt).toBe(5)
    expect(solo.hears('n2', { ...heartbeat(1), trusted: 5 })).toMatchObject([{ doubt: 0 }])
    expect(solo.readies.map(({ trusted }) => trusted).filter((trusted) => trusted > 0)).toEqual([5])
    expect(solo.status.doubt).toBe(0)
  })

  test('that leads is whole again once its own disk has what the others committed without it, idle as the cluster is', () => {
    const solo = inDoubt([1])
    solo.ticks(60)
    for (const from of solo.others) solo.hears(from, { ...vote(2, true, true), asked: 5 })
    for (const from of solo.others) solo.hearsUnsynced(from, { ...vote(2, true), asked: 5 })
    expect(solo.status.role).toBe('leader')
    const accepted = { type: 'appendResponse', term: 2, success: true, index: 2, hintIndex: 0, hintTerm: 0 } as const
    for (const from of solo.others) solo.hearsUnsynced(from, accepted)
    expect(solo.status).toMatchObject({ commitIndex: 2, persistedIndex: 1, doubt: 5 })
    solo.sync()
    expect(solo.status.doubt).toBe(0)
    expect(solo.readies.map(({ trusted }) => trusted)).toContain(5)
  })

  test('does not take over from a leader', () => {
    const solo = inDoubt([1])
    solo.hears('n2', heartbeat(1))
    expect(solo.hears('n2', { type: 'timeoutNow', term: 1 })).toEqual([])
  })

  test('whose log is gone, in a directory that knows its cluster, takes no part in a first election', () => {
    const solo = new Solo({ terms: [], doubt: 5, founded: true })
    expect(ofType(solo.ticks(200), 'voteRequest')).toEqual([])
    const request = { ...voteRequest(1, 0, 0), bootstrap: TRIO }
    expect(solo.hears('n2', request)).toMatchObject([{ granted: false, doubt: 5 }])
  })

  test('that has lost the record of its last entries term takes that from them, without a vote', () => {
    const solo = inDoubt([1, 4], { term: 2, vote: 'n3' })
    expect(solo.status.term).toBe(4)
    expect(solo.hears('n2', voteRequest(4, 2, 4))).toMatchObject([{ granted: true }])
  })
})
