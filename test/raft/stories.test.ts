/**
 * Stories of whole clusters, step by step. In each of them the commanded cluster checks at every step that a term has one
 * leader, that nobody applies another entry at an index, and that what is applied is synced by a majority.
 */
import { describe, expect, test } from 'vitest'
import type { Entry, Message } from '../../raft/index.ts'
import { Cluster } from './support/cluster.ts'
import { textEntry } from './support/entries.ts'
import { expectApplied, texts } from './support/expect-applied.ts'
import { foundedLog, logsOf, ofType, Solo, TRIO } from './support/solo.ts'

const QUINT = ['n1', 'n2', 'n3', 'n4', 'n5'] as const

describe('crashes', () => {
  test('what is proposed is applied by all', () => {
    const cluster = new Cluster(TRIO)
    cluster.elect()
    cluster.propose('a')
    cluster.propose('b')
    cluster.settle()
    expect(texts(cluster)).toEqual([
      ['a', 'b'],
      ['a', 'b'],
      ['a', 'b'],
    ])
  })

  test('a leader that crashes is replaced, and nothing committed is lost', () => {
    const cluster = new Cluster(TRIO)
    const first = cluster.elect()
    cluster.propose('a')
    cluster.settle()
    cluster.crash(first.id)
    const second = cluster.elect()
    expect(second.id).not.toBe(first.id)
    cluster.propose('b')
    cluster.settle()
    cluster.restart(first.id)
    expectApplied(cluster, ['a', 'b'])
  })

  test('all crash at once; what was committed is there again, what was only written is not', () => {
    const cluster = new Cluster(TRIO)
    const leader = cluster.elect()
    cluster.propose('a')
    cluster.settle()
    for (const node of cluster.nodes.values()) node.isDiskHeld = true
    cluster.propose('b')
    cluster.settle()
    expect(leader.written.length).toBeGreaterThan(leader.log.length)
    for (const id of TRIO) cluster.crash(id)
    for (const node of cluster.nodes.values()) node.isDiskHeld = false
    for (const id of TRIO) cluster.restart(id)
    cluster.elect()
    expectApplied(cluster, ['a'])
  })

  test('what a hard state told of commits is applied after a restart, before any leader is known', () => {
    const cluster = new Cluster(TRIO)
    const leader = cluster.elect()
    cluster.propose('a')
    cluster.settle()
    cluster.propose('b')
    cluster.settle()
    const [follower] = cluster.followers()
    cluster.crash(leader.id)
    cluster.crash(follower!.id)
    cluster.restart(follower!.id)
    cluster.settle()
    expect(follower!.appliedTexts).toEqual(['a'])
  })

  test('entries that the dead leader told a minority of are finished by whoever holds them', () => {
    const cluster = new Cluster(TRIO)
    const leader = cluster.elect()
    const [lucky, unlucky] = cluster.followers()
    cluster.cutOneWay(leader.id, unlucky!.id)
    leader.isDiskHeld = true
    cluster.propose('half')
    cluster.settle()
    expect(leader.appliedTexts).toEqual([])
    cluster.crash(leader.id)
    cluster.heal()
    expect(cluster.elect().id).toBe(lucky!.id)
    expectApplied(cluster, ['half'])
  })
})

describe('partitions', () => {
  test('a leader alone commits nothing and gives up; the majority goes on; its tail is replaced after the heal', () => {
    const cluster = new Cluster(TRIO)
    const old = cluster.elect()
    cluster.isolate(old.id)
    cluster.propose('lost')
    cluster.settle()
    cluster.tick(61)
    expect(old.status.role).not.toBe('leader')
    expect(cluster.propose('refused', old)).toBeUndefined()
    const next = cluster.elect()
    expect(next.id).not.toBe(old.id)
    cluster.propose('kept')
    cluster.settle()
    cluster.heal()
    expectApplied(cluster, ['kept'])
    expect(old.log.map((entry) => entry.term)).toEqual(next.log.map((entry) => entry.term))
  })

  test('a follower that was cut off comes back without disturbing the leader (trap 7)', () => {
    const cluster = new Cluster(TRIO)
    const leader = cluster.elect()
    const [away] = cluster.followers()
    cluster.isolate(away!.id)
    cluster.tick(1000)
    cluster.heal()
    cluster.tick(100)
    expect(cluster.leader?.id).toBe(leader.id)
    expect(leader.status).toMatchObject({ elections: 1, term: 1 })
    expect(away!.status.leader).toBe(leader.id)
  })

  test('a member with a higher term but an older log gets back in (trap 8: no livelock)', () => {
    const logs = {
      n1: { log: foundedLog(TRIO, [1, 1, 1]), hardState: { term: 1, vote: '', commit: 0 } },
      n2: { log: foundedLog(TRIO, [1, 1, 1]), hardState: { term: 1, vote: '', commit: 0 } },
      n3: { log: foundedLog(TRIO, [1]), hardState: { term: 9, vote: 'n3', commit: 0 } },
    }
    const cluster = new Cluster(TRIO, { logs })
    cluster.isolate('n3')
    cluster.elect()
    expect(cluster.leader!.status.term).toBeLessThan(9)
    cluster.heal()
    cluster.tickUntil('n3 holds the log', () => cluster.node('n3').log.length >= 4)
    expect(cluster.elect().status.term).toBeGreaterThanOrEqual(9)
    expect(cluster.leader!.id).not.toBe('n3')
  })

  test('a leader that can send but not hear steps down, and the others elect another', () => {
    const cluster = new Cluster(TRIO)
    const deaf = cluster.elect()
    for (const follower of cluster.followers()) cluster.cutOneWay(follower.id, deaf.id)
    const tookTicks = cluster.tickUntil('the deaf leader steps down', () => deaf.status.role !== 'leader', 200)
    expect(tookTicks).toBeLessThan(80)
    cluster.tickUntil('another leads', () => cluster.leader !== undefined && cluster.leader.id !== deaf.id)
  })

  test('a bridge: two that do not hear each other, both hear the third; one leader stays, terms do not race (trap 8)', () => {
    const cluster = new Cluster(TRIO)
    const leader = cluster.elect()
    const [cut] = cluster.followers()
    cluster.cutOneWay(leader.id, cut!.id)
    cluster.cutOneWay(cut!.id, leader.id)
    const { term } = leader.status
    cluster.tick(1000)
    expect(leader.status).toMatchObject({ role: 'leader', term })
    cluster.propose('a')
    cluster.settle()
    expect(leader.appliedTexts).toEqual(['a'])
    cluster.heal()
    expectApplied(cluster, ['a'])
  })

  test('five members in two halves: the one with a majority works, the other does not', () => {
    const cluster = new Cluster(QUINT)
    const leader = cluster.elect()
    const mate = cluster.followers()[0]!
    cluster.isolate(leader.id, mate.id)
    cluster.propose('minority')
    cluster.tickUntil(
      'the majority has a leader',
      () => cluster.leader?.id !== leader.id && cluster.leader !== undefined,
    )
    cluster.elect()
    cluster.propose('majority')
    cluster.settle()
    expect(leader.appliedTexts).toEqual([])
    cluster.heal()
    expectApplied(cluster, ['majority'])
  })
})

describe('replication under loss', () => {
  const tuning = { inflightBytesMax: 1000, appendBytesMax: 400 }

  test('a window that is lost as a whole is sent again after the next heartbeat’s answer (trap 14)', () => {
    const cluster = new Cluster(TRIO, { tuning })
    const leader = cluster.elect()
    const [victim] = cluster.followers()
    cluster.drop = (message) => message.type === 'appendRequest' && message.to === victim!.id
    const words = Array.from({ length: 30 }, (_, at) => `w${at}`)
    for (const word of words) {
      cluster.propose(word)
      cluster.settle()
    }
    expect(leader.appliedTexts).toEqual(words)
    expect(victim!.appliedTexts).toEqual([])
    cluster.drop = () => false
    cluster.tick(11)
    expect(victim!.appliedTexts).toEqual(words)
  })

  test('a commit that was lost on the way is told again as soon as the link is new', () => {
    const cluster = new Cluster(TRIO)
    const leader = cluster.elect()
    const [victim] = cluster.followers()
    cluster.drop = (message) =>
      message.type === 'appendRequest' && message.to === victim!.id && message.entries.length === 0
    cluster.propose('a')
    cluster.settle()
    expect([leader.appliedTexts, victim!.appliedTexts]).toEqual([['a'], []])
    cluster.drop = () => false
    leader.core.peerUp(victim!.id)
    cluster.settle()
    expect(victim!.appliedTexts).toEqual(['a'])
  })

  test('a peer whose link is new gets what it missed at once, without waiting for a heartbeat', () => {
    const cluster = new Cluster(TRIO)
    const leader = cluster.elect()
    const [victim] = cluster.followers()
    cluster.isolate(victim!.id)
    cluster.propose('a')
    cluster.settle()
    cluster.heal()
    leader.core.peerUp(victim!.id)
    cluster.settle()
    expect(victim!.appliedTexts).toEqual(['a'])
  })

  test('messages that are lost, repeated and out of order delay but never mislead', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const cluster = new Cluster(TRIO, { seed, tuning })
      cluster.elect()
      let dice = seed
      const next = () => {
        dice = (dice * 48271) % 2147483647
        return dice / 2147483647
      }
      let isRepeating = false
      cluster.drop = (message) => {
        if (next() < 0.1) return true
        if (!isRepeating && next() < 0.1) {
          isRepeating = true
          cluster.deliverOne(message)
          isRepeating = false
        } else if (next() < 0.1) {
          cluster.network.splice(Math.floor(next() * cluster.network.length), 0, message)
          return true
        }
        return false
      }
      const accepted: string[] = []
      for (let i = 0; i < 60; i++) {
        if (cluster.propose(`${i}`) !== undefined) accepted.push(`${i}`)
        cluster.tick(3)
      }
      cluster.drop = () => false
      cluster.elect()
      cluster.tick(40)
      const [first, ...others] = texts(cluster)
      expect(accepted).toEqual(expect.arrayContaining(first!))
      expect(first!.length).toBeGreaterThan(40)
      for (const other of others) expect(other).toEqual(first)
    }
  })

  test('a peer far behind is fed from storage, in appends of bounded size', () => {
    const cluster = new Cluster(TRIO, { tuning: { ...tuning, cacheBytesMax: 500 } })
    const leader = cluster.elect()
    const [victim] = cluster.followers()
    cluster.isolate(victim!.id)
    const words = Array.from({ length: 100 }, (_, at) => `word ${at}`)
    for (const word of words) {
      cluster.propose(word)
      cluster.settle()
    }
    expect(leader.core.entry(2)).toBeUndefined()
    cluster.heal()
    cluster.sent.length = 0
    cluster.tick(15)
    expect(victim!.appliedTexts).toEqual(words)
    for (const { entries } of ofType(cluster.sent, 'appendRequest')) {
      const bytes = entries.reduce((sum, entry) => sum + entry.data.length, 0)
      expect(bytes).toBeLessThanOrEqual(tuning.appendBytesMax)
    }
  })

  test('entries that were read for a peer which has them by now are not sent', () => {
    const leader = new Solo({ terms: Array(20).fill(1) })
    leader.win()
    const refused = { type: 'appendResponse', term: 2, success: false, index: 20, hintIndex: 5, hintTerm: 1 } as const
    leader.hears('n2', refused)
    leader.accepts('n2', 5)
    const loads = () => leader.readies.flatMap((ready) => ready.loads)
    expect(loads()).toMatchObject([{ peer: { id: 'n2' }, from: 6 }])
    // A late answer to an append of before.
    leader.accepts('n2', 8)
    leader.core.loaded(loads()[0]!, leader.log.slice(5, 7))
    leader.carryOut()
    expect(ofType(leader.take(), 'appendRequest').filter(({ entries }) => entries.length > 0)).toEqual([])
    expect(loads()).toMatchObject([{ from: 6 }, { peer: { id: 'n2' }, from: 9 }])
    leader.core.loaded(loads()[1]!, leader.log.slice(8, 20))
    leader.carryOut()
    const [first, rest] = ofType(leader.take(), 'appendRequest')
    expect([first!.prevIndex, first!.entries.length]).toEqual([8, 12])
    expect([rest!.prevIndex, rest!.entries.length]).toEqual([20, 1])
  })

  test('entries that were read for a former leadership are not sent: they may have been replaced since', () => {
    const leader = new Solo({ terms: Array(20).fill(1) })
    leader.win()
    leader.hears('n2', { type: 'appendResponse', term: 2, success: false, index: 20, hintIndex: 5, hintTerm: 1 })
    leader.accepts('n2', 5)
    const [load] = leader.readies.flatMap((ready) => ready.loads)
    const replaced = leader.log.slice(5, 7)
    const entries = [textEntry(6, 3, 'another'), textEntry(7, 3, 'another')]
    leader.hears('n3', { type: 'appendRequest', term: 3, prevIndex: 5, prevTerm: 1, entries, commit: 0 })
    leader.core.loaded(load!, replaced)
    leader.carryOut()
    expect(leader.take()).toEqual([])
    leader.win()
    leader.hears('n2', { type: 'appendResponse', term: 4, success: false, index: 7, hintIndex: 5, hintTerm: 1 })
    leader.core.step({
      type: 'heartbeatResponse',
      from: 'n2',
      to: 'n1',
      fromIncarnation: 'n2.1',
      toIncarnation: 'n1.1',
      term: 4,
      round: 0,
      doubt: 0,
    })
    leader.core.loaded(load!, replaced)
    leader.carryOut()
    const sent = ofType(leader.take(), 'appendRequest').flatMap((append) => append.entries)
    expect(sent.filter((entry) => entry.term === 1)).toEqual([])
    expect(sent.map((entry) => entry.index)).toEqual([6, 7, 8])
  })

  test('an entry larger than an append may be goes alone', () => {
    const cluster = new Cluster(TRIO, { tuning })
    cluster.elect()
    const large = 'x'.repeat(5000)
    for (const text of ['small', large, 'after']) cluster.propose(text)
    cluster.settle()
    expectApplied(cluster, ['small', large, 'after'])
    const appends = ofType(cluster.sent, 'appendRequest')
    const withLarge = appends.filter(({ entries }) => entries.some((entry) => entry.data.length === 5000))
    expect(withLarge.map(({ entries }) => entries.length)).toEqual([1, 1])
  })

  test('a leader whose proposals do not get committed refuses more when their bytes are too many (trap 44)', () => {
    const cluster = new Cluster(TRIO, { tuning: { uncommittedBytesMax: 1000 } })
    const leader = cluster.elect()
    cluster.isolate(leader.id)
    const taken = Array.from({ length: 50 }, () => cluster.propose('x'.repeat(100)))
    expect(taken.filter((index) => index !== undefined).length).toBeGreaterThan(3)
    expect(taken.filter((index) => index !== undefined).length).toBeLessThan(10)
    cluster.heal()
    cluster.tick(15)
    expect(cluster.propose('x'.repeat(900))).toBeDefined()
  })

  test('a leader whose own disk hangs refuses more when the unsynced fill the memory', () => {
    const cluster = new Cluster(TRIO, { tuning: { uncommittedBytesMax: 1000, cacheBytesMax: 1000 } })
    const leader = cluster.elect()
    leader.isDiskHeld = true
    let taken = 0
    for (; taken < 100 && cluster.propose('x'.repeat(100)) !== undefined; taken++) cluster.settle()
    expect(leader.appliedTexts).toHaveLength(taken)
    expect(taken).toBeLessThan(30)
    leader.isDiskHeld = false
    cluster.settle()
    expect(cluster.propose('again')).toBeDefined()
  })
})

describe('disks', () => {
  test('the same entry may come back: only its own write vouches for it (trap 5)', () => {
    const solo = new Solo({ terms: [1] })
    const send = (from: string, term: number, entry: Entry) => {
      const incarnations = { fromIncarnation: `${from}.1`, toIncarnation: 'n1.1' }
      const append = { type: 'appendRequest', prevIndex: 1, prevTerm: 1, entries: [entry], commit: 0 } as const
      solo.core.step({ from, to: 'n1', ...incarnations, term, ...append })
      return solo.core.ready().token!
    }
    const first = send('n2', 2, textEntry(2, 2, 'x'))
    const other = send('n3', 3, textEntry(2, 3, 'y'))
    const again = send('n2', 4, textEntry(2, 2, 'x'))
    for (const [token, persistedIndex] of [
      [first, 1],
      [other, 1],
      [again, 2],
    ] as const) {
      solo.core.persisted(token)
      expect(solo.status.persistedIndex).toBe(persistedIndex)
    }
  })

  test('a completion that is late for a former term does not vouch for what replaced its entries (trap 5)', () => {
    const cluster = new Cluster(TRIO)
    const old = cluster.elect()
    old.isDiskHeld = true
    cluster.isolate(old.id)
    cluster.propose('stale')
    cluster.carryOut(old.id)
    const late = old.unsynced.find((ready) => ready.entries.length > 0)!.token!
    cluster.tickUntil('another leads', () => cluster.leader !== undefined && cluster.leader.id !== old.id)
    cluster.elect()
    cluster.heal()
    cluster.tick(15)
    expect(old.written.at(-1)!.term).toBeGreaterThan(late.term)
    const before = old.status.persistedIndex
    old.core.persisted(late)
    expect(old.status.persistedIndex).toBe(before)
    old.isDiskHeld = false
    cluster.settle()
    expect(old.status.persistedIndex).toBe(old.log.length)
  })

  test('a candidate whose vote for itself is not synced does not lead, though others granted theirs', () => {
    const cluster = new Cluster(TRIO, { logs: logsOf([1]) })
    cluster.node('n1').isDiskHeld = true
    cluster.campaign('n1')
    expect(cluster.node('n1').status.role).toBe('candidate')
    expect(ofType(cluster.sent, 'voteRequest').filter(({ pre }) => !pre)).toEqual([])
    cluster.node('n1').isDiskHeld = false
    cluster.settle()
    expect(cluster.leader?.id).toBe('n1')
  })

  test('the commit index causes no write of its own', () => {
    const cluster = new Cluster(TRIO)
    cluster.elect()
    cluster.propose('a')
    cluster.settle()
    const leader = cluster.leader!
    expect(leader.status.commitIndex).toBe(2)
    expect(leader.hardState.commit).toBe(1)
    cluster.tick(30)
    expect(leader.hardState.commit).toBe(1)
  })
})

describe('fast failover', () => {
  test('followers that see the leader’s port refuse elect another in a fraction of the timeout', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const cluster = new Cluster(TRIO, { seed, logs: logsOf([1]) })
      const leader = cluster.elect()
      cluster.tick(5)
      cluster.crash(leader.id)
      cluster.tellDown(leader.id)
      const ticks = cluster.tickUntil('another is established', () => cluster.leader?.status.established === true)
      expect(ticks).toBeLessThan(35)
    }
  })

  test('a voter that has no such evidence keeps to its leader', () => {
    const cluster = new Cluster(TRIO, { logs: logsOf([1]) })
    const leader = cluster.elect()
    const [misled, loyal] = cluster.followers()
    misled!.core.peerDown(leader.id)
    cluster.tick(40)
    expect(leader.status.role).toBe('leader')
    expect(loyal!.status).toMatchObject({ leader: leader.id, elections: 0 })
    expect(misled!.status).toMatchObject({ leader: leader.id, elections: 0 })
  })

  test('evidence that comes to one later than to the other still elects soon', () => {
    const cluster = new Cluster(TRIO, { logs: logsOf([1]) })
    const leader = cluster.elect()
    cluster.tick(5)
    const [early, late] = cluster.followers()
    cluster.crash(leader.id)
    early!.core.peerDown(leader.id)
    cluster.tick(8)
    expect(cluster.leader).toBeUndefined()
    late!.core.peerDown(leader.id)
    const ticks = cluster.tickUntil('another is established', () => cluster.leader?.status.established === true)
    expect(ticks).toBeLessThan(35)
  })

  test('evidence about a member that does not lead changes nothing', () => {
    const cluster = new Cluster(TRIO, { logs: logsOf([1]) })
    const leader = cluster.elect()
    const [one, two] = cluster.followers()
    two!.roles = []
    two!.core.peerDown(one!.id)
    leader.core.peerDown(one!.id)
    cluster.tick(100)
    expect(cluster.leader?.id).toBe(leader.id)
    expect(two!.status.elections + one!.status.elections).toBe(0)
    expect(two!.roles).toEqual([])
    cluster.propose('a')
    cluster.settle()
    expectApplied(cluster, ['a'])
  })

  test('after some vain attempts a misled follower waits as long as for any other election', () => {
    const cluster = new Cluster(TRIO, { logs: logsOf([1]) })
    const leader = cluster.elect()
    const [misled] = cluster.followers()
    cluster.isolate(misled!.id)
    misled!.core.peerDown(leader.id)
    cluster.sent.length = 0
    cluster.tick(200)
    const asked = ofType(cluster.sent, 'voteRequest').filter(({ from, to }) => from === misled!.id && to === leader.id)
    expect(asked.length).toBeGreaterThanOrEqual(4)
    expect(asked.length).toBeLessThan(9)
  })
})

describe('reads', () => {
  test('a deposed leader that does not know it yet cannot answer with what it has (trap 10)', () => {
    const cluster = new Cluster(TRIO)
    const old = cluster.elect()
    cluster.isolate(old.id)
    for (const follower of cluster.followers()) follower.core.peerDown(old.id)
    cluster.tickUntil('another leads', () => cluster.leader !== undefined && cluster.leader.id !== old.id, 50)
    expect(old.status.role).toBe('leader')
    cluster.propose('new')
    cluster.settle()
    old.core.readIndex(1)
    cluster.tick(100)
    expect(old.reads).toEqual([{ requestId: 1, index: -1 }])
  })

  test('a follower reads what was committed before it asked', () => {
    const cluster = new Cluster(TRIO)
    cluster.elect()
    const committed = cluster.propose('a')!
    cluster.settle()
    const [reader] = cluster.followers()
    reader!.core.readIndex(1)
    cluster.settle()
    expect(reader!.reads).toEqual([{ requestId: 1, index: committed }])
  })

  test('a round whose heartbeats were lost is confirmed by the next beat', () => {
    const cluster = new Cluster(TRIO)
    const leader = cluster.elect()
    cluster.drop = (message) => message.type === 'heartbeat'
    leader.core.readIndex(1)
    cluster.settle()
    expect(leader.reads).toEqual([])
    cluster.drop = () => false
    cluster.tick(11)
    expect(leader.reads).toEqual([{ requestId: 1, index: 1 }])
  })
})

describe('what is recovered', () => {
  test('a log whose hard state is older than its entries is refused: the term was lost (trap 2)', () => {
    const log: Entry[] = foundedLog(TRIO, [1, 5])
    const logs = { n1: { log, hardState: { term: 3, vote: '', commit: 0 } } }
    expect(() => new Cluster(TRIO, { logs })).toThrow('trap 2')
  })

  test('a member that is not in its own list, or listed twice, is a mistake of the caller', () => {
    expect(() => new Cluster(['n1'], { memberIds: { n1: ['n2'] } })).toThrow(TypeError)
    expect(() => new Cluster(['n1'], { memberIds: { n1: ['n1', 'n1'] } })).toThrow(TypeError)
  })
})

test('every message names both incarnations once the cluster is founded', () => {
  const cluster = new Cluster(TRIO)
  cluster.elect()
  cluster.sent.length = 0
  const leader = cluster.leader!
  cluster.propose('a')
  cluster.followers()[0]!.core.readIndex(1)
  cluster.tick(30)
  cluster.crash(leader.id)
  cluster.elect()
  const named = (message: Message) =>
    message.fromIncarnation === `${message.from}.1` && message.toIncarnation === `${message.to}.1`
  expect(cluster.sent.length).toBeGreaterThan(20)
  expect(cluster.sent.filter((message) => !named(message))).toEqual([])
})
