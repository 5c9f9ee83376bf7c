/**
 * How a cluster begins, and that it begins once: the unanimous first election, entry 1, and what an emptied directory
 * under a known id may do afterwards (nothing).
 */
import { describe, expect, test } from 'vitest'
import { EntryType } from '../../raft/index.ts'
import { Cluster } from './support/cluster.ts'
import { expectApplied } from './support/expect-applied.ts'
import { logsOf, ofType, Solo, TRIO } from './support/solo.ts'

describe('the first election', () => {
  test('founds the cluster: entry 1 names all members with their incarnations', () => {
    const cluster = new Cluster(TRIO)
    const leader = cluster.elect()
    const { membership } = leader.status
    expect(membership).toEqual({
      clusterId: `cluster-of-${leader.id}`,
      voters: TRIO.map((id) => ({ id, incarnation: `${id}.1` })),
      votersOutgoing: [],
      learners: [],
    })
    for (const node of cluster.nodes.values()) {
      expect(node.log[0]).toMatchObject({ index: 1, type: EntryType.membership })
      expect(node.status.membership).toEqual(membership)
      expect(node.status.isVoter).toBe(true)
    }
  })

  test('waits for the last member, and goes on when it comes', () => {
    const cluster = new Cluster(TRIO)
    cluster.crash('n3')
    cluster.tick(1000)
    for (const id of ['n1', 'n2']) expect(cluster.node(id).status).toMatchObject({ term: 0, lastIndex: 0 })
    cluster.restart('n3')
    cluster.elect()
    expectApplied(cluster, [])
    expect(cluster.node('n3').log).toHaveLength(1)
  })

  test('does not happen among members that list different members', () => {
    for (const list of [
      ['n3', 'n2'],
      ['n2', 'n3', 'n4'],
      ['n1', 'n2', 'n3', 'n4'],
    ]) {
      const cluster = new Cluster(TRIO, { memberIds: { n3: list } })
      cluster.tick(1000)
      for (const node of cluster.nodes.values()) expect(node.status.lastIndex).toBe(0)
    }
  })

  test('does not mind in which order the list is', () => {
    const cluster = new Cluster(TRIO, { memberIds: { n3: ['n3', 'n2', 'n1'] } })
    cluster.elect()
  })

  test('a single member founds its cluster alone, with its first tick', () => {
    const cluster = new Cluster(['n1'])
    cluster.tick(1)
    expect(cluster.leader?.status).toMatchObject({ established: true, term: 1 })
    cluster.propose('a')
    cluster.settle()
    expectApplied(cluster, ['a'])
  })

  test('once one log holds entry 1, its members vote by the ordinary rules, empty ones too', () => {
    const cluster = new Cluster(TRIO)
    cluster.drop = (message) => message.type === 'appendRequest' && message.to === 'n3'
    cluster.campaign('n1')
    expect(cluster.node('n2').log).toHaveLength(1)
    cluster.crash('n1')
    cluster.drop = () => false
    expect(cluster.node('n3').log).toHaveLength(0)
    expect(cluster.elect().id).toBe('n2')
    expect(cluster.leader!.status.membership?.clusterId).toBe('cluster-of-n1')
    cluster.restart('n1')
    expectApplied(cluster, [])
    expect(cluster.node('n1').status.membership).toEqual(cluster.node('n3').status.membership)
  })

  test('an entry 1 that nobody synced is forgotten, and the next election founds anew', () => {
    const cluster = new Cluster(TRIO)
    cluster.drop = (message) => message.type === 'appendRequest'
    cluster.tickUntil(
      'n1 is a candidate',
      () => cluster.node('n1').status.role === 'candidate' || cluster.leader !== undefined,
    )
    const first = cluster.leader!
    first.log.length = 0
    cluster.crash(first.id)
    cluster.drop = () => false
    cluster.restart(first.id)
    cluster.elect()
    expect(new Set([...cluster.nodes.values()].map((node) => node.status.membership?.clusterId)).size).toBe(1)
  })

  test('is not joined by a log that is not empty, whatever end the candidate claims', () => {
    const cluster = new Cluster(TRIO, { logs: logsOf([1]) })
    const incarnations = { fromIncarnation: 'n1.1', toIncarnation: '' }
    const end = { lastIndex: 9, lastTerm: 9, bootstrap: TRIO, doubt: 0 }
    cluster
      .node('n2')
      .core.step({ type: 'voteRequest', from: 'n1', to: 'n2', ...incarnations, term: 10, pre: false, ...end })
    cluster.settle()
    expect(ofType(cluster.sent, 'voteResponse')).toMatchObject([{ granted: false }])
  })

  test('two incarnations of one id do not both get a vote in one term', () => {
    const cluster = new Cluster(TRIO)
    const voter = cluster.node('n2')
    const request = {
      type: 'voteRequest',
      from: 'n1',
      to: 'n2',
      toIncarnation: '',
      term: 1,
      pre: false,
      lastIndex: 0,
      lastTerm: 0,
      bootstrap: TRIO,
      doubt: 0,
    } as const
    voter.core.step({ ...request, fromIncarnation: 'n1.1' })
    voter.core.step({ ...request, fromIncarnation: 'n1.2' })
    cluster.settle()
    const answers = ofType(cluster.sent, 'voteResponse').map(({ toIncarnation, granted }) => ({
      toIncarnation,
      granted,
    }))
    expect(answers).toEqual([
      { toIncarnation: 'n1.1', granted: true },
      { toIncarnation: 'n1.2', granted: false },
    ])
  })
})

describe('an emptied directory (trap 19)', () => {
  test('under a known id neither votes, nor counts, nor campaigns, and the others go on', () => {
    const cluster = new Cluster(TRIO)
    const leader = cluster.elect()
    const [wiped, other] = cluster.followers()
    wiped!.wipe(`${wiped!.id}.2`)
    cluster.restart(wiped!.id)
    cluster.tick(500)
    expect(wiped!.status).toMatchObject({ term: 0, lastIndex: 0, isVoter: false, elections: 0 })
    cluster.propose('a')
    cluster.settle()
    expect(leader.appliedTexts).toEqual(['a'])
    // Without the third there is no majority: the wiped one's answers would make one if they counted.
    cluster.crash(other!.id)
    cluster.propose('b')
    cluster.tick(500)
    expect(leader.appliedTexts).toEqual(['a'])
    expect(leader.status.role).not.toBe('leader')
  })

  test('cannot elect a member that lacks committed entries', () => {
    const cluster = new Cluster(TRIO)
    const leader = cluster.elect()
    const [holder, behind] = cluster.followers()
    cluster.isolate(behind!.id)
    cluster.propose('committed')
    cluster.settle()
    expect(holder!.appliedTexts).toEqual(['committed'])
    cluster.crash(leader.id)
    holder!.wipe(`${holder!.id}.2`)
    cluster.heal()
    cluster.restart(holder!.id)
    cluster.tick(1000)
    expect(cluster.leader).toBeUndefined()
    cluster.restart(leader.id)
    cluster.elect()
    expect(cluster.leader!.id).toBe(leader.id)
  })

  test('of the majority does not found a second cluster beside the one that is left', () => {
    const cluster = new Cluster(TRIO)
    cluster.elect()
    for (const id of ['n2', 'n3']) {
      cluster.node(id).wipe(`${id}.2`)
      cluster.restart(id)
    }
    cluster.tick(1000)
    for (const id of ['n2', 'n3']) expect(cluster.node(id).status.lastIndex).toBe(0)
  })

  test('that was taken up again under its new incarnation may lead, though a laggard lists the old one', () => {
    const solo = new Solo({ terms: [1] })
    const envelope = { from: 'n2', to: 'n1', fromIncarnation: 'n2.2', toIncarnation: 'n1.1', term: 7 }
    solo.core.step({ ...envelope, type: 'heartbeat', commit: 0, round: 0, trusted: 0 })
    expect(solo.status).toMatchObject({ leader: 'n2', term: 7 })
  })

  test('messages for another incarnation, and votes of an unlisted one, are dropped', () => {
    const cluster = new Cluster(TRIO, { logs: logsOf([1]) })
    const node = cluster.node('n1')
    cluster.tickAlone('n1', 200)
    const vote = { type: 'voteResponse', pre: true, granted: true, doubt: 0, asked: 0, term: 2 } as const
    const envelope = { from: 'n2', to: 'n1', fromIncarnation: 'n2.1', toIncarnation: 'n1.1' }
    node.core.step({ ...envelope, ...vote, toIncarnation: 'n1.0' })
    node.core.step({ ...envelope, ...vote, fromIncarnation: 'n2.2' })
    node.core.step({ ...envelope, ...vote, from: 'n1', fromIncarnation: 'n1.1' })
    node.core.step({ ...envelope, ...vote, to: 'n3' })
    expect(node.status.role).toBe('preCandidate')
    node.core.step({ ...envelope, ...vote })
    expect(node.status.role).toBe('candidate')
  })
})
