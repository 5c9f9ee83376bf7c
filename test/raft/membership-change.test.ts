/**
 * Changes of the members, as stories of whole clusters: learners, promotions, removals, replaced incarnations, and the traps on
 * the way (15–20). §6 of the paper; dissertation §4.1–4.3.
 */
import { describe, expect, test } from 'vitest'
import {
  type Entry,
  EntryType,
  encodeMembership,
  type Membership,
  type MembershipChange,
  Raft,
} from '../../raft/index.ts'
import { Random } from '../support/random.ts'
import { Cluster } from './support/cluster.ts'
import { recoveredLog } from './support/entries.ts'
import { heartbeat, leaderOf, ofType, Solo, TRIO, voteRequest } from './support/solo.ts'
import type { TestNode } from './support/test-node.ts'

const TUNING = { electionTicks: 10, heartbeatTicks: 2 }
const member = (id: string, life = 1) => ({ id, incarnation: `${id}.${life}` })
const members = (...ids: string[]) => ids.map((id) => member(id))

function founded(ids: readonly string[] = TRIO): Cluster {
  const cluster = new Cluster(ids, { tuning: TUNING })
  cluster.elect()
  return cluster
}

function change(cluster: Cluster, asked: MembershipChange): unknown {
  const result = cluster.leader!.core.changeMembership(asked)
  cluster.settle()
  return typeof result === 'string' ? result : 'begun'
}

function membershipEntry(index: number, term: number, membership: Partial<Membership>): Entry {
  const data = encodeMembership({ clusterId: 'cluster', voters: [], votersOutgoing: [], learners: [], ...membership })
  return { index, term, type: EntryType.membership, data }
}

/** Adds n4 as a voter. */
function grow(cluster: Cluster): TestNode {
  const node = cluster.add('n4')
  change(cluster, { type: 'addLearner', member: member('n4') })
  cluster.tick(5)
  change(cluster, { type: 'promote', id: 'n4' })
  return node
}

test('three of five that hold all elect a leader, though one knows another only by its former incarnation', () => {
  // y was emptied and promoted anew by a, b, z and itself, while x lagged; now a and b are gone. Only the new y can win.
  const ids = ['a', 'b', 'x', 'y', 'z']
  const voters = [...members('a', 'b', 'x', 'z'), member('y', 2)]
  const log = [
    membershipEntry(1, 1, { voters: members(...ids) }),
    membershipEntry(2, 1, { voters: members(...ids), learners: [member('y', 2)] }),
    membershipEntry(3, 1, { voters, votersOutgoing: members(...ids) }),
    membershipEntry(4, 1, { voters }),
  ]
  const held: Record<string, number> = { x: 1, y: 4, z: 3 }
  const nodes = new Map(
    Object.entries(held).map(([id, count], i) => {
      const recovered = recoveredLog({ term: 1, vote: '', commit: 1 }, log.slice(0, count))
      const incarnation = id === 'y' ? 'y.2' : `${id}.1`
      const dice = new Random(i + 1)
      const random = () => dice.fraction()
      return [id, new Raft({ id, incarnation, memberIds: ids, recovered, random, mintClusterId: () => 'cluster' })]
    }),
  )
  const leaders = () => [...nodes.values()].filter((node) => node.status().role === 'leader')
  for (let tick = 0; tick < 5_000 && leaders().length === 0; tick++) {
    for (const node of nodes.values()) node.tick()
    exchange(nodes)
  }
  expect(leaders()).toHaveLength(1)
})

/** Carries out and delivers until nobody has anything to say. */
function exchange(nodes: ReadonlyMap<string, Raft>): void {
  for (let isBusy = true; isBusy; ) {
    isBusy = false
    for (const node of nodes.values()) {
      while (node.hasReady()) {
        const { messages, messagesAfterSync, token } = node.ready()
        if (token !== undefined) node.persisted(token)
        for (const message of [...messages, ...messagesAfterSync]) nodes.get(message.to)?.step(message)
        isBusy = true
      }
    }
  }
}

describe('learners', () => {
  test('get the log and heartbeats, and are told of commits, by one plain entry', () => {
    const cluster = founded()
    cluster.propose('before')
    const n4 = cluster.add('n4')
    expect(change(cluster, { type: 'addLearner', member: member('n4') })).toBe('begun')
    cluster.tick(10)
    cluster.propose('after')
    cluster.settle()
    expect(n4.appliedTexts).toEqual(['before', 'after'])
    expect(n4.status).toMatchObject({ leader: cluster.leader!.id, isMember: true, isVoter: false })
    expect(n4.status.membership).toMatchObject({ votersOutgoing: [], learners: [member('n4')] })
  })

  test('do not count: neither for commits nor for the lease', () => {
    const cluster = founded()
    const leader = cluster.leader!
    cluster.add('n4')
    change(cluster, { type: 'addLearner', member: member('n4') })
    cluster.tick(5)
    for (const { id } of cluster.followers()) if (id !== 'n4') cluster.crash(id)
    cluster.propose('x')
    cluster.settle()
    expect(cluster.node('n4').written.length).toBe(leader.written.length)
    expect(leader.appliedTexts).toEqual([])
    cluster.tick(30)
    expect(leader.status.role).not.toBe('leader')
  })

  test('never campaign', () => {
    const cluster = founded()
    const n4 = cluster.add('n4')
    change(cluster, { type: 'addLearner', member: member('n4') })
    cluster.tick(5)
    for (const id of TRIO) cluster.crash(id)
    cluster.tick(200)
    expect(n4.status).toMatchObject({ role: 'follower', elections: 0 })
    expect(cluster.sent.some(({ type, from }) => type === 'voteRequest' && from === 'n4')).toBe(false)
  })

  test('answer vote requests: a promoted one may not know yet that it counts (trap 17)', () => {
    const solo = new Solo()
    const demoted = membershipEntry(2, 1, { voters: members('n2', 'n3'), learners: [member('n1')] })
    solo.hears('n2', { type: 'appendRequest', term: 1, prevIndex: 1, prevTerm: 1, entries: [demoted], commit: 1 })
    expect(solo.status).toMatchObject({ isVoter: false, isMember: true })
    solo.ticks(60)
    expect(solo.hears('n2', voteRequest(2, 2, 1))).toMatchObject([{ type: 'voteResponse', granted: true }])
  })

  test('come and go without a joint membership, and another life of the same learner takes its place', () => {
    const cluster = founded()
    change(cluster, { type: 'addLearner', member: member('n4') })
    expect(change(cluster, { type: 'addLearner', member: member('n4') })).toBe('alreadyMember')
    change(cluster, { type: 'addLearner', member: member('n4', 2) })
    expect(cluster.leader!.status.membership!.learners).toEqual([member('n4', 2)])
    change(cluster, { type: 'remove', id: 'n4' })
    expect(cluster.leader!.status.membership!.learners).toEqual([])
    const memberships = cluster.leader!.log.filter(({ type }) => type === EntryType.membership)
    expect(memberships).toHaveLength(4)
  })
})

describe('a promotion', () => {
  test('goes through a joint membership, whose second half follows by itself', () => {
    const cluster = founded()
    const n4 = grow(cluster)
    cluster.tick(5)
    expect(n4.status).toMatchObject({ isVoter: true, isMember: true })
    const membership = n4.status.membership!
    expect(membership.voters.map(({ id }) => id).sort()).toEqual(['n1', 'n2', 'n3', 'n4'])
    expect(membership).toMatchObject({ votersOutgoing: [], learners: [] })
    cluster.propose('on')
    cluster.settle()
    expect(n4.appliedTexts).toEqual(['on'])
  })

  test.each([
    ['is silent', (cluster: Cluster) => cluster.isolate('n4')],
    ['has not answered yet', (cluster: Cluster) => cluster.crash('n4')],
  ])('of a learner that %s is refused', (_, harm) => {
    const cluster = founded()
    cluster.add('n4')
    change(cluster, { type: 'addLearner', member: member('n4') })
    harm(cluster)
    cluster.tick(15)
    expect(change(cluster, { type: 'promote', id: 'n4' })).toBe('notCaughtUp')
  })

  test('of a learner that lacks more than a hundred committed entries is refused until it has them', () => {
    const leader = leaderOf()
    leader.accepts('n2', 2)
    leader.core.changeMembership({ type: 'addLearner', member: member('n4') })
    leader.sync()
    leader.accepts('n2', 3)
    leader.accepts('n4', 3)
    for (let i = 0; i < 101; i++) leader.propose('x')
    leader.sync()
    leader.accepts('n2', 104)
    expect(leader.core.changeMembership({ type: 'promote', id: 'n4' })).toBe('notCaughtUp')
    leader.accepts('n4', 4)
    expect(leader.core.changeMembership({ type: 'promote', id: 'n4' })).toEqual({ term: 2, index: 105 })
  })

  test('of a voter or a stranger is refused', () => {
    const cluster = founded()
    expect(change(cluster, { type: 'promote', id: 'n2' })).toBe('alreadyMember')
    expect(change(cluster, { type: 'promote', id: 'n9' })).toBe('unknownMember')
  })
})

describe('a joint membership', () => {
  /** n1 leads n1, n2, n3 and is moving to n1, n4, n5; its own disk is synced. */
  function movingLeader(): Solo {
    const solo = new Solo({ terms: [1] })
    const joint = membershipEntry(2, 1, {
      voters: members('n1', 'n4', 'n5'),
      votersOutgoing: members('n1', 'n2', 'n3'),
    })
    solo.hears('n2', { type: 'appendRequest', term: 1, prevIndex: 1, prevTerm: 1, entries: [joint], commit: 1 })
    while (solo.status.role === 'follower') solo.ticks(1)
    return solo
  }

  const granted = (term: number, pre: boolean) => ({ type: 'voteResponse', term, pre, granted: true }) as const

  function elected(): Solo {
    const solo = movingLeader()
    for (const from of ['n2', 'n4']) solo.hears(from, granted(2, true))
    for (const from of ['n2', 'n4']) solo.hears(from, granted(2, false))
    expect(solo.status.role).toBe('leader')
    return solo
  }

  test('elects by majorities of both', () => {
    const solo = movingLeader()
    for (const from of ['n2', 'n3']) solo.hears(from, granted(2, true))
    expect(solo.status.role).toBe('preCandidate')
    solo.hears('n4', granted(2, true))
    for (const from of ['n4', 'n5']) solo.hears(from, granted(2, false))
    expect(solo.status.role).toBe('candidate')
    solo.hears('n3', granted(2, false))
    expect(solo.status.role).toBe('leader')
  })

  test('elects with one in doubt only if all of both grant', () => {
    const solo = movingLeader()
    solo.hears('n2', { ...granted(2, true), doubt: 5 })
    for (const from of ['n4', 'n5']) solo.hears(from, granted(2, true))
    expect(solo.status.role).toBe('preCandidate')
    solo.hears('n3', granted(2, true))
    expect(solo.status.role).toBe('candidate')
  })

  test.each([
    ['n2', 'n3'],
    ['n4', 'n5'],
  ])('commits nothing by one of them alone (%s and %s)', (one, other) => {
    const solo = elected()
    for (const from of [one, other]) solo.accepts(from, 3)
    expect(solo.status.commitIndex).toBe(1)
    solo.accepts(one === 'n2' ? 'n4' : 'n2', 3)
    expect(solo.status.commitIndex).toBe(3)
  })

  test('is ended by the next leader too, once it has committed an entry of its own term', () => {
    const solo = elected()
    expect(solo.status.membership!.votersOutgoing).toHaveLength(3)
    for (const from of ['n2', 'n4']) solo.accepts(from, 3)
    expect(solo.status.membership).toMatchObject({ voters: members('n1', 'n4', 'n5'), votersOutgoing: [] })
    expect(solo.log.at(-1)).toMatchObject({ index: 4, term: 2, type: EntryType.membership })
  })

  test('of two lives of one id counts both, each as itself', () => {
    const solo = new Solo({ terms: [1] })
    const voters = [member('n1'), member('n2', 2), member('n3')]
    const joint = membershipEntry(2, 1, { voters, votersOutgoing: members('n1', 'n2', 'n3') })
    solo.hears('n3', { type: 'appendRequest', term: 1, prevIndex: 1, prevTerm: 1, entries: [joint], commit: 1 })
    while (solo.status.role === 'follower') solo.ticks(1)
    const envelope = { from: 'n2', to: 'n1', fromIncarnation: 'n2.2', toIncarnation: 'n1.1', doubt: 0 } as const
    solo.core.step({ ...envelope, asked: 0, ...granted(2, true) })
    expect(solo.status.role).toBe('preCandidate')
    solo.hears('n2', granted(2, true))
    solo.core.step({ ...envelope, asked: 0, ...granted(2, false) })
    solo.hears('n2', granted(2, false))
    solo.sync()
    expect(solo.status.role).toBe('leader')
    expect(solo.status.peers.map(({ incarnation }) => incarnation).sort()).toEqual(['n2.1', 'n2.2', 'n3.1'])
    const accepted = { type: 'appendResponse', term: 2, success: true, index: 3, hintIndex: 0, hintTerm: 0 } as const
    solo.core.step({ ...envelope, ...accepted })
    expect(solo.status.commitIndex).toBe(1)
    solo.accepts('n2', 3)
    expect(solo.status.commitIndex).toBe(3)
  })
})

describe('an emptied directory', () => {
  test('comes back as a learner and takes the place of what it was', () => {
    const cluster = founded()
    cluster.propose('kept')
    cluster.settle()
    const [wiped] = cluster.followers()
    wiped!.wipe(`${wiped!.id}.2`)
    cluster.restart(wiped!.id)
    expect(change(cluster, { type: 'addLearner', member: member(wiped!.id, 2) })).toBe('begun')
    cluster.tick(10)
    expect(wiped!.appliedTexts).toEqual(['kept'])
    expect(change(cluster, { type: 'promote', id: wiped!.id })).toBe('begun')
    cluster.tick(5)
    const { voters, votersOutgoing, learners } = cluster.leader!.status.membership!
    expect(voters).toContainEqual(member(wiped!.id, 2))
    expect(voters).toHaveLength(3)
    expect([...votersOutgoing, ...learners]).toEqual([])
    // It counts now: with it the leader needs nobody else.
    const third = cluster.followers().find((node) => node !== wiped)!
    cluster.crash(third.id)
    cluster.propose('with the new one')
    cluster.settle()
    expect(wiped!.status.commitIndex).toBe(cluster.leader!.status.lastIndex)
  })
})

describe('one change at a time (trap 15)', () => {
  test('a second one is refused before the first is committed', () => {
    const cluster = founded()
    const leader = cluster.leader!
    cluster.isolate(leader.id)
    change(cluster, { type: 'addLearner', member: member('n4') })
    expect(change(cluster, { type: 'addLearner', member: member('n5') })).toBe('changePending')
    cluster.heal()
    cluster.tick(3)
    expect(change(cluster, { type: 'addLearner', member: member('n5') })).toBe('begun')
  })

  test('and while a joint membership is to be left', () => {
    const leader = leaderOf()
    leader.accepts('n2', 2)
    expect(leader.core.changeMembership({ type: 'remove', id: 'n3' })).toEqual({ term: 2, index: 3 })
    expect(leader.core.changeMembership({ type: 'remove', id: 'n2' })).toBe('changePending')
    leader.sync()
    leader.accepts('n2', 3)
    // The joint one is committed, and the second half under way.
    expect(leader.log.at(-1)!.index).toBe(4)
    expect(leader.core.changeMembership({ type: 'remove', id: 'n2' })).toBe('changePending')
    leader.accepts('n2', 4)
    expect(leader.core.changeMembership({ type: 'remove', id: 'n2' })).toEqual({ term: 2, index: 5 })
  })

  test('a new leader first commits an entry of its own term (raft-dev erratum)', () => {
    // It knows that the membership that it holds is committed; another leader may have begun a change since.
    const leader = new Solo({ terms: [1], hardState: { commit: 1 } })
    leader.win()
    expect(leader.core.changeMembership({ type: 'remove', id: 'n3' })).toBe('changePending')
    leader.accepts('n2', 2)
    expect(leader.core.changeMembership({ type: 'remove', id: 'n3' })).toEqual({ term: 2, index: 3 })
  })

  test('only a leader changes anything', () => {
    const solo = new Solo()
    expect(solo.core.changeMembership({ type: 'remove', id: 'n3' })).toBe('notLeader')
  })
})

describe('a membership that is cut from the log (trap 18)', () => {
  test('is not in force any more on the follower that held it', () => {
    const solo = new Solo({ id: 'n3', terms: [1] })
    const removal = membershipEntry(2, 1, { voters: members('n1', 'n2'), votersOutgoing: members(...TRIO) })
    const end = membershipEntry(3, 1, { voters: members('n1', 'n2') })
    solo.hears('n1', { type: 'appendRequest', term: 1, prevIndex: 1, prevTerm: 1, entries: [removal, end], commit: 1 })
    expect(solo.status).toMatchObject({ isMember: false, isVoter: false })
    solo.hears('n2', { type: 'appendRequest', term: 2, prevIndex: 1, prevTerm: 1, entries: [], commit: 1 })
    const noop = { index: 2, term: 2, type: EntryType.noop, data: new Uint8Array(0) }
    solo.hears('n2', { type: 'appendRequest', term: 2, prevIndex: 1, prevTerm: 1, entries: [noop], commit: 1 })
    expect(solo.status).toMatchObject({ isMember: true, isVoter: true })
  })

  test('leaves the former leader and its cluster with the members of before', () => {
    const cluster = founded()
    const former = cluster.leader!
    cluster.isolate(former.id)
    former.core.changeMembership({ type: 'remove', id: cluster.followers()[0]!.id })
    cluster.tickUntil('another leads', () => cluster.leader !== former && cluster.leader?.status.established === true)
    cluster.heal()
    cluster.tick(10)
    expect(former.status.membership!.voters).toHaveLength(3)
    expect(former.status.membership!.votersOutgoing).toEqual([])
  })
})

describe('a removal', () => {
  test('of a follower: it learns of it, does not campaign and disturbs nobody', () => {
    const cluster = founded()
    const leader = cluster.leader!
    const [gone] = cluster.followers()
    expect(change(cluster, { type: 'remove', id: gone!.id })).toBe('begun')
    cluster.tick(5)
    const { term } = leader.status
    expect(gone!.status).toMatchObject({ isMember: false, isVoter: false })
    expect(gone!.status.commitIndex).toBe(leader.status.commitIndex)
    // Long after the leader has stopped to talk to it.
    cluster.tick(300)
    expect(gone!.status).toMatchObject({ role: 'follower', elections: 0 })
    expect(leader.status).toMatchObject({ role: 'leader', term })
    cluster.sent.length = 0
    cluster.tick(20)
    expect(cluster.sent.filter(({ to }) => to === gone!.id)).toEqual([])
  })

  test('of one that was away: it asks for votes in vain, and is told then', () => {
    const cluster = founded()
    const leader = cluster.leader!
    const [gone] = cluster.followers()
    cluster.isolate(gone!.id)
    change(cluster, { type: 'remove', id: gone!.id })
    cluster.tick(300)
    expect(gone!.status.isMember).toBe(true)
    const { term } = leader.status
    cluster.heal()
    cluster.tick(60)
    expect(gone!.status).toMatchObject({ isMember: false, elections: 0 })
    expect(leader.status).toMatchObject({ role: 'leader', term })
  })

  test('of a leader: it leads until that is committed, without counting itself (trap 20)', () => {
    const leader = leaderOf()
    for (const from of ['n2', 'n3']) leader.accepts(from, 2)
    leader.core.changeMembership({ type: 'remove', id: 'n1' })
    leader.sync()
    for (const from of ['n2', 'n3']) leader.accepts(from, 3)
    expect(leader.status.membership).toMatchObject({ voters: members('n2', 'n3'), votersOutgoing: [] })
    leader.accepts('n2', 4)
    // Its own disk and n2 are no majority of n2 and n3.
    expect(leader.status).toMatchObject({ role: 'leader', commitIndex: 3 })
    leader.ticks(1)
    expect(leader.status.role).toBe('leader')
    leader.accepts('n3', 4)
    expect(leader.status.commitIndex).toBe(4)
  })

  test('of a leader: it hands over, so that no election timeout passes, and goes', () => {
    const cluster = founded()
    const former = cluster.leader!
    change(cluster, { type: 'remove', id: former.id })
    const ticks = cluster.tickUntil(
      'another leads',
      () => cluster.leader !== former && !!cluster.leader?.status.established,
    )
    expect(ticks).toBeLessThan(5)
    cluster.tick(10)
    expect(former.status).toMatchObject({ role: 'follower', isMember: false })
    cluster.propose('on')
    cluster.tick(3)
    expect(cluster.leader!.appliedTexts).toEqual(['on'])
  })

  test('that those who stay could not commit is refused, since it could not be taken back either', () => {
    const leader = leaderOf()
    leader.accepts('n3', 2)
    const beat = { type: 'heartbeatResponse', term: leader.status.term, round: 0 } as const
    for (let tick = 0; tick < 200; tick++) {
      leader.ticks(1)
      leader.hears('n3', beat)
    }
    // n2 is dead: without n3 nobody but the leader would be left of n1 and n2.
    expect(leader.core.changeMembership({ type: 'remove', id: 'n3' })).toBe('quorumAtRisk')
    expect(leader.core.changeMembership({ type: 'remove', id: 'n2' })).toMatchObject({ index: 3 })
  })

  test('of a leader whose successor does not come: it goes after an election timeout', () => {
    const leader = leaderOf()
    for (const from of ['n2', 'n3']) leader.accepts(from, 2)
    leader.core.changeMembership({ type: 'remove', id: 'n1' })
    leader.sync()
    for (const from of ['n2', 'n3']) leader.accepts(from, 3)
    for (const from of ['n2', 'n3']) leader.accepts(from, 4)
    expect(ofType(leader.ticks(1), 'timeoutNow')).toHaveLength(1)
    leader.ticks(58)
    expect(leader.status.role).toBe('leader')
    leader.ticks(2)
    expect(leader.status.role).toBe('follower')
    expect(leader.ticks(500)).toEqual([])
  })

  test('that is not committed leaves the removed one the right to campaign: its log may be the only one that can win', () => {
    const cluster = founded()
    const former = cluster.leader!
    const [one, other] = cluster.followers()
    // The joint membership is committed; of the new one, without the leader, nobody hears.
    change(cluster, { type: 'remove', id: other!.id })
    cluster.tick(3)
    cluster.drop = ({ type, to }) =>
      type === 'appendRequest' && to === one!.id && former.status.membership!.votersOutgoing.length === 0
    former.core.changeMembership({ type: 'remove', id: former.id })
    cluster.settle()
    cluster.propose('only here')
    cluster.settle()
    expect([former.status.isVoter, one!.status.isVoter]).toEqual([false, true])
    cluster.drop = () => false
    cluster.crash(former.id)
    cluster.restart(former.id)
    cluster.tickUntil('the other leads', () => one!.status.role === 'leader' && one!.status.established)
    expect(one!.appliedTexts).toEqual(['only here'])
    expect(one!.status.membership!.voters).toEqual([member(one!.id)])
    cluster.tick(15)
    expect(former.status).toMatchObject({ role: 'follower', isVoter: false })
  })

  test('of the last voter, or of a stranger, is refused', () => {
    const cluster = founded(['n1'])
    expect(change(cluster, { type: 'remove', id: 'n1' })).toBe('lastVoter')
    expect(change(cluster, { type: 'remove', id: 'n9' })).toBe('unknownMember')
  })

  test('of a dead one of three lets the two go on, and of one of the two the last', () => {
    const cluster = founded()
    const [dead, other] = cluster.followers()
    cluster.crash(dead!.id)
    change(cluster, { type: 'remove', id: dead!.id })
    cluster.tick(3)
    change(cluster, { type: 'remove', id: other!.id })
    cluster.tick(3)
    cluster.crash(other!.id)
    cluster.propose('alone')
    cluster.tick(30)
    expect(cluster.leader!.appliedTexts).toEqual(['alone'])
    expect(cluster.leader!.status.membership!.voters).toHaveLength(1)
  })
})

test('a node that was never a member gets nothing, however often it asks for a first election (trap 18)', () => {
  const cluster = founded()
  const stranger = cluster.add('n4')
  cluster.tick(100)
  expect(cluster.sent.some(({ from }) => from === 'n4')).toBe(true)
  expect(stranger.status).toMatchObject({ lastIndex: 0, leader: undefined })
  expect(cluster.leader!.status.membership!.learners).toEqual([])
})

describe('needless elections', () => {
  test('a node that was isolated for long rejoins without raising the term', () => {
    const cluster = founded()
    const { id, status } = cluster.leader!
    const { term } = status
    const [away] = cluster.followers()
    cluster.isolate(away!.id)
    cluster.tick(300)
    cluster.propose('meanwhile')
    cluster.heal()
    cluster.tick(50)
    expect(cluster.leader!.id).toBe(id)
    for (const node of cluster.nodes.values()) expect(node.status).toMatchObject({ term, leader: id })
    expect(away!.appliedTexts).toEqual(['meanwhile'])
  })

  test('a node that hears only one direction does not raise it either', () => {
    const cluster = founded()
    const leader = cluster.leader!
    const { term } = leader.status
    const [deaf] = cluster.followers()
    cluster.cutOneWay(leader.id, deaf!.id)
    cluster.tick(200)
    expect(leader.status).toMatchObject({ role: 'leader', term })
    cluster.heal()
    cluster.tick(20)
    expect(deaf!.status).toMatchObject({ term, leader: leader.id })
  })

  test('a removed node that knows a later log than some member is not elected by those who hear a leader', () => {
    const solo = new Solo({ terms: [1] })
    solo.hears('n2', heartbeat(1))
    expect(solo.hears('n9', voteRequest(5, 9, 1, true))).toEqual([])
    expect(solo.hears('n9', voteRequest(5, 9, 1))).toEqual([])
    expect(solo.status.term).toBe(1)
  })
})
