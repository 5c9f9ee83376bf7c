/**
 * Checkpoints instead of entries (§7): what a leader offers whom, what a follower makes of it, and that nothing committed is
 * lost on the way, whatever was in the log that a checkpoint replaces.
 */
import { describe, expect, test } from 'vitest'
import { EntryType, encodeMembership, type SnapshotMark } from '../../raft/index.ts'
import { Cluster } from './support/cluster.ts'
import { textEntry } from './support/entries.ts'
import {
  appendOf,
  foundedLog,
  heartbeat,
  logsOf,
  ofType,
  Solo,
  type SoloOptions,
  sentBy,
  TRIO,
  voteRequest,
} from './support/solo.ts'

const MEMBERSHIP = foundedLog(TRIO, [1])[0]!
const markAt = (index: number, term: number): SnapshotMark => ({ index, term, membership: MEMBERSHIP })
const installRequest = (term: number, index: number, lastTerm: number) => ({
  type: 'installRequest' as const,
  term,
  index,
  lastTerm,
  membership: MEMBERSHIP,
})

/** A leader of term 2 whose log holds 5, 6 and its no-op 7; what comes before is gone. */
function forgetful(options: SoloOptions = {}): Solo {
  const solo = new Solo({ terms: [1, 1, 1, 1, 1, 1], base: 4, ...options })
  solo.win()
  solo.take()
  return solo
}

/** The peer n2 answers the leader's probe: its log ends at `lastIndex`, in term 1. */
const refusal = (lastIndex: number, refused = 6) => ({
  type: 'appendResponse' as const,
  term: 2,
  success: false,
  index: refused,
  hintIndex: lastIndex,
  hintTerm: lastIndex === 0 ? 0 : 1,
})

const beat = { type: 'heartbeatResponse', term: 2, round: 0 } as const

describe('a leader whose log has forgotten what a peer needs', () => {
  test('offers its newest checkpoint, and sends no entries', () => {
    const leader = forgetful({ checkpoint: 5 })
    const sent = leader.hears('n2', refusal(3))
    expect(ofType(sent, 'appendRequest')).toEqual([])
    expect(ofType(sent, 'installRequest')).toMatchObject([
      { to: 'n2', term: 2, index: 5, lastTerm: 1, membership: { index: 1 } },
    ])
    expect(leader.status.peers[0]).toMatchObject({ id: 'n2', mode: 'install', matchIndex: 0 })
  })

  test('sends entries to a peer that needs just the first one that is left', () => {
    const leader = forgetful()
    const sent = ofType(leader.hears('n2', refusal(4)), 'appendRequest')
    expect(sent).toMatchObject([{ prevIndex: 4, prevTerm: 1 }])
  })

  test('finds out where a log meets its own when that is behind the base, though the terms differ', () => {
    const leader = forgetful({ terms: [1, 1, 1, 1, 3, 3], hardState: { term: 4 } })
    const refused = { ...refusal(5), term: 5, hintTerm: 2 }
    expect(ofType(leader.hears('n2', refused), 'appendRequest')).toMatchObject([{ prevIndex: 4, prevTerm: 1 }])
  })

  test('repeats the offer with its heartbeats, however often there is something to send', () => {
    const leader = forgetful({ tuning: { heartbeatTicks: 3 } })
    expect(ofType(leader.hears('n2', refusal(0)), 'installRequest')).toHaveLength(1)
    for (let i = 0; i < 5; i++) {
      leader.propose('more')
      leader.carryOut()
      expect(ofType(leader.hears('n2', beat), 'installRequest')).toEqual([])
    }
    leader.ticks(3)
    expect(ofType(leader.hears('n2', beat), 'installRequest')).toHaveLength(1)
    expect(ofType(leader.hears('n2', beat), 'installRequest')).toEqual([])
  })

  test('offers it again at once when the link to the peer is new', () => {
    const leader = forgetful()
    leader.hears('n2', refusal(0))
    leader.core.peerUp('n2')
    leader.carryOut()
    expect(ofType(leader.take(), 'installRequest')).toHaveLength(1)
  })

  test('offers a newer checkpoint as soon as it has one', () => {
    const leader = forgetful()
    leader.hears('n2', refusal(0))
    leader.accepts('n3', 7)
    leader.core.checkpointed(leader.core.mark(7))
    leader.core.peerUp('n2')
    leader.carryOut()
    expect(ofType(leader.take(), 'installRequest')).toMatchObject([{ index: 7, lastTerm: 2 }])
  })

  test('goes on with entries once the peer tells that it holds the checkpoint', () => {
    const leader = forgetful({ checkpoint: 5 })
    leader.hears('n2', refusal(0))
    leader.accepts('n2', 5)
    const [load] = leader.readies.flatMap((ready) => ready.loads)
    expect(load).toMatchObject({ peer: { id: 'n2' }, from: 6 })
    leader.core.loaded(load!, leader.log.slice(1))
    leader.carryOut()
    expect(ofType(leader.take(), 'appendRequest')).toMatchObject([
      { prevIndex: 5, prevTerm: 1, entries: [{ index: 6 }, { index: 7 }] },
    ])
    expect(leader.status.peers[0]).toMatchObject({ mode: 'replicate', matchIndex: 5 })
  })

  test('offers its checkpoint instead of an entry that its disk does not give any more', () => {
    const leader = forgetful({ terms: [1, 1, 1, 1, 1, 1], base: 0 })
    leader.accepts('n3', 7)
    leader.accepts('n2', 2)
    const [load] = leader.readies.flatMap((ready) => ready.loads)
    expect(load).toMatchObject({ from: 3 })
    leader.core.checkpointed(leader.core.mark(6))
    leader.take()
    leader.core.loaded(load!, [])
    leader.carryOut()
    expect(ofType(leader.take(), 'installRequest')).toMatchObject([{ index: 6 }])
    // An answer to an append of before: the rotten entry is still needed.
    leader.accepts('n2', 2)
    expect(leader.status.peers[0]).toMatchObject({ id: 'n2', mode: 'install' })
    leader.core.peerUp('n2')
    leader.carryOut()
    expect(ofType(leader.take(), 'installRequest')).toHaveLength(1)
    leader.accepts('n2', 6)
    expect(leader.status.peers[0]).toMatchObject({ mode: 'replicate', matchIndex: 6 })
  })

  test('stops when an entry is gone that no checkpoint reflects', () => {
    const leader = forgetful({ terms: [1, 1, 1, 1, 1, 1], base: 0, checkpoint: 0 })
    leader.accepts('n3', 7)
    leader.accepts('n2', 2)
    const [load] = leader.readies.flatMap((ready) => ready.loads)
    expect(() => leader.core.loaded(load!, [])).toThrow(/storage read undefined for 3/)
  })

  test('is not misled by an old answer that tells less than is needed, nor by an old refusal', () => {
    const leader = forgetful()
    leader.hears('n2', refusal(0))
    expect(leader.accepts('n2', 3)).toEqual([])
    expect(leader.hears('n2', refusal(2))).toEqual([])
    expect(leader.status.peers[0]).toMatchObject({ mode: 'install', matchIndex: 3 })
  })

  test('probes again when a refusal shows that the peer has come far enough by other means', () => {
    const leader = forgetful()
    leader.hears('n2', refusal(0))
    const sent = ofType(leader.hears('n2', refusal(5)), 'appendRequest')
    expect(sent).toMatchObject([{ prevIndex: 5 }])
    expect(leader.status.peers[0]!.mode).toBe('probe')
  })

  test('does not commit by an offer, nor tells the peer of commits that it may not hold (trap 6)', () => {
    const leader = forgetful()
    leader.hears('n2', refusal(0))
    leader.accepts('n3', 7)
    expect(leader.status.commitIndex).toBe(7)
    const beats = ofType(leader.ticks(20), 'heartbeat').filter((message) => message.to === 'n2')
    expect(new Set(beats.map((message) => message.commit))).toEqual(new Set([0]))
  })

  test('notices it though entries were under way or being read when they were forgotten', () => {
    const leader = forgetful({ terms: [1, 1, 1, 1, 1, 1], base: 0 })
    leader.accepts('n3', 7)
    const load = () => leader.readies.flatMap((ready) => ready.loads)
    leader.accepts('n2', 2)
    expect(load()).toMatchObject([{ from: 3 }])
    leader.core.checkpointed(leader.core.mark(6))
    leader.core.compact(6)
    // What storage found, whether it was quicker than the compaction or not.
    for (const entries of [[], leader.log.slice(2, 4)]) {
      leader.core.loaded(load()[0]!, entries)
      leader.carryOut()
      const sent = leader.take()
      expect(ofType(sent, 'appendRequest')).toEqual([])
      expect(leader.status.peers[0]).toMatchObject({ id: 'n2', mode: 'install' })
    }
    leader.hears('n2', beat)
  })

  test('does not feel for a lost window behind what it has forgotten', () => {
    const leader = forgetful({ terms: [1], base: 0, tuning: { inflightBytesMax: 1 } })
    for (const peer of ['n2', 'n3']) leader.accepts(peer, 2)
    // One append at a time: n2's next entry is 4, and its answer about 3 never comes.
    for (const index of [3, 4, 5]) {
      leader.propose('a')
      leader.sync()
      leader.accepts('n3', index)
    }
    leader.core.checkpointed(leader.core.mark(5))
    leader.core.compact(5)
    const sent = leader.hears('n2', beat).filter((message) => message.to === 'n2')
    expect(sent.map((message) => message.type)).toEqual(['installRequest'])
  })

  test('a peer whose end is not known yet is probed at the log’s end again when its link is new, not installed', () => {
    const leader = forgetful()
    leader.core.peerUp('n2')
    leader.carryOut()
    const sent = leader.take().filter((message) => message.to === 'n2')
    expect(sent.map((message) => message.type)).toEqual(['appendRequest'])
  })
})

describe('what a log may forget', () => {
  test('is what the newest durable checkpoint reflects, and no more', () => {
    const leader = forgetful({ base: 0 })
    leader.accepts('n2', 7)
    expect(() => leader.core.compact(1)).toThrow('checkpointed is 0')
    leader.core.checkpointed(leader.core.mark(5))
    expect(leader.status).toMatchObject({ checkpointIndex: 5, firstIndex: 1 })
    expect(() => leader.core.compact(6)).toThrow('checkpointed is 5')
    leader.core.compact(4)
    expect(leader.status).toMatchObject({ checkpointIndex: 5, firstIndex: 5, lastIndex: 7 })
  })

  test('a checkpoint names an applied entry that the log knows, and is never ahead of the synced log', () => {
    const leader = forgetful()
    leader.accepts('n2', 7)
    expect(leader.core.mark(4)).toMatchObject({ index: 4, term: 1, membership: { index: 1 } })
    expect(() => leader.core.mark(3)).toThrow('behind 4')
    leader.propose('a')
    expect(() => leader.core.mark(8)).toThrow('applied is 7')
    leader.carryOut()
    // Both others hold it, so it is committed and applied here before this disk has it.
    const held = { type: 'appendResponse', term: 2, success: true, index: 8, hintIndex: 0, hintTerm: 0 } as const
    for (const from of ['n2', 'n3']) leader.core.step(sentBy(from, 'n1', held))
    leader.carryOut()
    const mark = leader.core.mark(8)
    expect(() => leader.core.checkpointed(mark)).toThrow('persisted 7')
    leader.sync()
    leader.core.checkpointed(mark)
    expect(leader.status.checkpointIndex).toBe(8)
    expect(() => leader.core.checkpointed({ ...mark, index: 9 })).toThrow('applied is 8')
  })

  test('an older checkpoint does not take the place of a newer one', () => {
    const leader = forgetful({ checkpoint: 6 })
    leader.core.checkpointed(markAt(5, 1))
    expect(leader.status.checkpointIndex).toBe(6)
  })
})

describe('a follower that has forgotten entries', () => {
  const forgetfulFollower = () => new Solo({ terms: [1, 1, 1, 1, 2, 2], base: 4 })

  test('takes an append from before its base as matching up to there: all of that was committed (trap 29)', () => {
    const solo = forgetfulFollower()
    const [answer] = solo.hears('n2', appendOf(3, 1, 1, [1, 1]))
    expect(answer).toMatchObject({ type: 'appendResponse', success: true, index: 4 })
    expect(solo.status).toMatchObject({ lastIndex: 6, firstIndex: 5 })
  })

  test('and takes what such an append brings for behind it', () => {
    const solo = forgetfulFollower()
    const [answer] = solo.hears('n2', appendOf(3, 2, 1, [1, 1, 2, 3, 3], 6))
    expect(answer).toMatchObject({ success: true, index: 7 })
    expect(solo.log.map((entry) => entry.term)).toEqual([2, 3, 3])
    expect(solo.status).toMatchObject({ commitIndex: 6, lastIndex: 7 })
  })

  test('refuses an append that says otherwise of its base: that leader was elected before the base was committed', () => {
    const solo = forgetfulFollower()
    const [answer] = solo.hears('n2', appendOf(3, 2, 1, [1, 2]))
    expect(answer).toMatchObject({ success: false })
    expect(solo.log.map((entry) => entry.term)).toEqual([2, 2])
  })

  test('refuses what does not meet its log, and never hints at what it has forgotten', () => {
    const solo = forgetfulFollower()
    const [answer] = solo.hears('n2', appendOf(3, 6, 1, [3]))
    expect(answer).toMatchObject({ success: false, index: 6, hintIndex: 4, hintTerm: 1 })
  })

  test('gives its vote by the end of its log, also if that is the base', () => {
    const solo = new Solo({ terms: [1, 1, 2], base: 3 })
    expect(ofType(solo.hears('n2', voteRequest(3, 2, 2)), 'voteResponse')).toMatchObject([{ granted: false }])
    expect(ofType(solo.hears('n3', voteRequest(4, 3, 2)), 'voteResponse')).toMatchObject([{ granted: true }])
  })
})

describe('a follower that is offered a checkpoint', () => {
  test('says that it has the entry, if it has, and knows now that it is committed', () => {
    const solo = new Solo({ terms: [1, 1, 1] })
    const sent = solo.hears('n2', installRequest(2, 2, 1))
    expect(sent).toMatchObject([{ type: 'appendResponse', success: true, index: 2, term: 2 }])
    expect(solo.status).toMatchObject({ commitIndex: 2, lastIndex: 3, leader: 'n2' })
    expect(solo.readies.every((ready) => ready.install === undefined)).toBe(true)
  })

  test('says so only once what it has is synced (trap 1)', () => {
    const solo = new Solo({ terms: [1] })
    solo.hearsUnsynced('n2', appendOf(2, 1, 1, [2, 2]))
    expect(solo.hearsUnsynced('n2', installRequest(2, 3, 2))).toEqual([])
    solo.sync()
    expect(ofType(solo.take(), 'appendResponse')).toMatchObject([{ index: 3 }, { index: 3 }])
  })

  test('says so too if it has forgotten the entry, since that was committed', () => {
    const solo = new Solo({ terms: [1, 1, 2, 2], base: 3 })
    expect(solo.hears('n2', installRequest(3, 2, 1))).toMatchObject([{ success: true, index: 2 }])
  })

  test('hands each offer to its host, repeated or not, and answers nothing', () => {
    const solo = new Solo({ terms: [1, 1, 1] })
    for (let i = 0; i < 2; i++) {
      solo.readies.length = 0
      expect(solo.hears('n2', installRequest(3, 9, 2))).toEqual([])
      const offers = solo.readies.flatMap(({ install }) => install ?? [])
      expect(offers).toEqual([{ from: { id: 'n2', incarnation: 'n2.1' }, term: 3, mark: markAt(9, 2) }])
    }
    expect(solo.status).toMatchObject({ lastIndex: 3, commitIndex: 0, leader: 'n2' })
  })

  test('is a member like any other until all of it is there: it answers, votes and campaigns by its old log', () => {
    const solo = new Solo({ terms: [1, 1, 1] })
    solo.hears('n2', installRequest(3, 9, 2))
    expect(solo.hears('n2', heartbeat(3))).toMatchObject([{ type: 'heartbeatResponse' }])
    solo.core.peerDown('n2')
    expect(ofType(solo.hears('n3', voteRequest(4, 3, 1)), 'voteResponse')).toMatchObject([{ granted: true }])
    const votes = ofType(solo.ticks(300), 'voteRequest')
    expect(votes[0]).toMatchObject({ pre: true, lastIndex: 3, lastTerm: 1 })
  })

  test('believes a leader that its own membership does not list under this incarnation yet', () => {
    const solo = new Solo({ terms: [1, 1, 1] })
    solo.readies.length = 0
    solo.core.step({ ...sentBy('n2', 'n1', installRequest(3, 9, 2)), fromIncarnation: 'n2.2' })
    solo.sync()
    expect(solo.readies.flatMap(({ install }) => install ?? [])).toMatchObject([{ from: { incarnation: 'n2.2' } }])
  })

  test('does not wait for its leader’s lease to end because it is offered one: it counts as a sign of life', () => {
    const solo = new Solo({ terms: [1, 1, 1], tuning: { electionTicks: 10 } })
    for (let i = 0; i < 10; i++) {
      solo.ticks(5)
      solo.hears('n2', installRequest(3, 9, 2))
    }
    expect(solo.status).toMatchObject({ role: 'follower', leader: 'n2', elections: 0 })
  })

  test('refuses the offer of a former leader, so that this learns of the newer term (trap 8)', () => {
    const solo = new Solo({ terms: [1, 1, 1], hardState: { term: 5 } })
    expect(solo.hears('n2', installRequest(3, 9, 2))).toMatchObject([
      { type: 'appendResponse', success: false, term: 5 },
    ])
    expect(solo.readies.every((ready) => ready.install === undefined)).toBe(true)
  })
})

describe('a checkpoint that is installed', () => {
  const offered = (options: SoloOptions = {}): Solo => {
    const solo = new Solo({ terms: [1, 1, 1], ...options })
    solo.hears('n2', installRequest(3, 9, 2))
    solo.readies.length = 0
    return solo
  }

  test('takes the place of the log, and is applied without being handed out', () => {
    const solo = offered()
    expect(solo.core.installed(markAt(9, 2))).toBe(true)
    solo.sync()
    expect(solo.readies).toMatchObject([{ reset: { index: 9, term: 2 }, entries: [], committed: undefined }])
    expect(solo.status).toMatchObject({ commitIndex: 9, appliedIndex: 9, lastIndex: 9, persistedIndex: 9 })
    expect(solo.status).toMatchObject({ firstIndex: 10, checkpointIndex: 9 })
    expect(solo.committed).toEqual([])
  })

  test('is written though nobody is there to be told', () => {
    const solo = new Solo({ terms: [1, 1, 1], hardState: { term: 2 } })
    solo.readies.length = 0
    expect(solo.core.installed(markAt(9, 2))).toBe(true)
    solo.sync()
    expect(solo.base).toEqual({ index: 9, term: 2 })
    expect(solo.take()).toEqual([])
  })

  test('takes back an offer that the host was not told of yet', () => {
    const solo = offered()
    solo.core.step(sentBy('n2', 'n1', installRequest(3, 9, 2)))
    solo.core.installed(markAt(9, 2))
    solo.sync()
    expect(solo.readies.flatMap(({ install }) => install ?? [])).toEqual([])
  })

  test('is told to the leader only once the log’s new beginning is synced (trap 1)', () => {
    const solo = offered()
    solo.core.installed(markAt(9, 2))
    solo.carryOut()
    expect(solo.take()).toEqual([])
    expect(solo.status.persistedIndex).toBe(0)
    solo.sync()
    expect(solo.take()).toMatchObject([{ type: 'appendResponse', to: 'n2', success: true, index: 9, term: 3 }])
  })

  test('is followed by entries, which are written behind it in the same order', () => {
    const solo = offered()
    solo.core.installed(markAt(9, 2))
    solo.core.step(sentBy('n2', 'n1', appendOf(3, 9, 2, [3, 3], 10)))
    solo.sync()
    expect(solo.readies[0]).toMatchObject({ reset: { index: 9 }, entries: [{ index: 10 }, { index: 11 }] })
    expect(solo.readies[0]!.committed).toEqual({ first: 10, last: 10 })
    expect(ofType(solo.take(), 'appendResponse').map(({ index }) => index)).toEqual([9, 11])
    expect(solo.status).toMatchObject({ persistedIndex: 11, lastIndex: 11 })
  })

  test('takes an uncommitted end that is not the leader’s with it, longer than itself or not', () => {
    for (const tail of [2, 12]) {
      const solo = offered({ terms: [1, 1, ...Array.from({ length: tail }, () => 1)], hardState: { commit: 2 } })
      expect(solo.core.installed(markAt(9, 2))).toBe(true)
      solo.sync()
      expect(solo.log).toEqual([])
      expect(solo.base).toEqual({ index: 9, term: 2 })
      expect(solo.status).toMatchObject({ lastIndex: 9, commitIndex: 9 })
    }
  })

  test('changes only what is offered to others when the entry has come by itself meanwhile', () => {
    const solo = offered()
    solo.hears('n2', appendOf(3, 3, 1, [2, 2, 2, 2, 2, 2, 3]))
    expect(solo.core.installed(markAt(9, 2))).toBe(false)
    solo.sync()
    expect(solo.status).toMatchObject({ lastIndex: 10, firstIndex: 1, commitIndex: 9, checkpointIndex: 9 })
    expect(solo.committed.at(-1)).toBe(9)
  })

  test('is stale when the log has passed it: no committed entry is ever lost to one', () => {
    const solo = offered({ terms: [1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2], hardState: { commit: 11 } })
    expect(solo.core.installed(markAt(9, 2))).toBe(false)
    expect(solo.core.installed(markAt(11, 2))).toBe(false)
    expect(solo.status).toMatchObject({ lastIndex: 11, commitIndex: 11, firstIndex: 1 })
    expect(solo.core.installed(markAt(12, 2))).toBe(true)
  })

  test('brings the members that were in force at it', () => {
    const solo = offered()
    const voters = ['n1', 'n4'].map((id) => ({ id, incarnation: `${id}.1` }))
    const data = encodeMembership({ clusterId: 'cluster', voters, votersOutgoing: [], learners: [] })
    solo.core.installed({ ...markAt(9, 2), membership: { index: 7, term: 2, type: EntryType.membership, data } })
    solo.sync()
    expect(solo.status.membership!.voters.map(({ id }) => id)).toEqual(['n1', 'n4'])
    expect(ofType(solo.ticks(300), 'voteRequest').map(({ to }) => to)).toEqual(expect.arrayContaining(['n4']))
    expect(solo.core.mark(9).membership.index).toBe(7)
  })

  test('ends a campaign: that was for the former log and by its members', () => {
    const solo = offered()
    while (solo.status.role === 'follower') solo.ticks(1)
    expect(solo.core.installed(markAt(9, 2))).toBe(true)
    solo.sync()
    expect(solo.status).toMatchObject({ role: 'follower', leader: undefined, lastIndex: 9 })
  })

  test('is nothing for a leader: whatever is committed it has', () => {
    const leader = forgetful()
    expect(() => leader.core.installed(markAt(20, 2))).toThrow('a leader lacks')
  })
})

describe('a member that starts from a checkpoint', () => {
  test('applies what comes behind it, and takes for committed what the checkpoint reflects', () => {
    const solo = new Solo({ terms: [1, 1, 1, 1, 1], base: 2, checkpoint: 3, hardState: { commit: 4 } })
    expect(solo.readies.flatMap((ready) => ready.committed ?? [])).toEqual([{ first: 4, last: 4 }])
    expect(solo.status).toMatchObject({ firstIndex: 3, checkpointIndex: 3, appliedIndex: 4, commitIndex: 4 })
    expect(solo.status.membership!.voters).toHaveLength(3)
  })

  test('takes the memberships of its log only from behind that of the checkpoint', () => {
    const solo = new Solo({ terms: [1, 1, 1], checkpoint: 2 })
    expect(solo.status.membership!.voters).toHaveLength(3)
    expect(solo.core.mark(2).membership).toMatchObject({ index: 1 })
  })

  test('in doubt, believes no commit index: it may have been said of entries that are lost', () => {
    const solo = new Solo({ terms: [1, 1, 1, 1], checkpoint: 2, hardState: { commit: 4 }, doubt: 7 })
    expect(solo.status).toMatchObject({ commitIndex: 2, appliedIndex: 2 })
  })

  test('knows a term that only the checkpoint tells: the two are synced apart', () => {
    const solo = new Solo({ terms: [1, 1, 3], base: 3, hardState: { term: 2, vote: 'n2' } })
    expect(solo.status.term).toBe(3)
    expect(ofType(solo.hears('n3', voteRequest(3, 3, 3)), 'voteResponse')).toMatchObject([{ granted: true, term: 3 }])
  })
})

describe('a cluster that forgets', () => {
  /** Fifteen entries, of which nobody but the victim still needs the first; the victim is down. */
  function aheadOf(victim: string): Cluster {
    const cluster = new Cluster(TRIO, { logs: logsOf([1]), tuning: { electionTicks: 10, heartbeatTicks: 2 } })
    cluster.elect()
    cluster.crash(victim)
    cluster.elect()
    for (let i = 0; i < 12; i++) {
      cluster.propose(`${i}`)
      cluster.tick()
    }
    cluster.tick(5)
    for (const node of cluster.nodes.values()) {
      if (!node.isUp) continue
      cluster.checkpoint(node.id)
      cluster.compact(node.id, node.status.checkpointIndex)
      cluster.compactDisk(node.id, node.status.checkpointIndex)
    }
    return cluster
  }

  test('brings a member back that was gone too long, and goes on with it', () => {
    const cluster = aheadOf('n3')
    cluster.restart('n3')
    cluster.tick(20)
    const victim = cluster.node('n3')
    expect(victim.offer).toMatchObject({ mark: { index: cluster.leader!.status.checkpointIndex } })
    expect(victim.applied.length).toBeLessThan(5)
    expect(cluster.fetch('n3')).toBe(true)
    expect(cluster.install('n3')).toBe(true)
    cluster.propose('after')
    cluster.tick(5)
    expect(victim.appliedTexts).toEqual(cluster.leader!.appliedTexts)
    expect(victim.appliedTexts.at(-1)).toBe('after')
    expect(cluster.leader!.status.peers.find(({ id }) => id === 'n3')).toMatchObject({ mode: 'replicate' })
  })

  test('a member that died between its checkpoint and its log starts from the checkpoint', () => {
    const cluster = aheadOf('n3')
    cluster.restart('n3')
    cluster.tick(20)
    cluster.fetch('n3')
    cluster.crash('n3')
    cluster.restart('n3')
    expect(cluster.node('n3').status).toMatchObject({ lastIndex: cluster.leader!.status.checkpointIndex })
    cluster.propose('after')
    cluster.tick(20)
    expect(cluster.node('n3').appliedTexts).toEqual(cluster.leader!.appliedTexts)
  })

  test('a member whose new beginning was never synced has its old log after a crash, and the votes that go with it', () => {
    const cluster = aheadOf('n3')
    cluster.restart('n3')
    cluster.tick(20)
    const victim = cluster.node('n3')
    const { lastIndex } = victim.status
    victim.isDiskHeld = true
    cluster.fetch('n3')
    cluster.install('n3')
    cluster.tick(2)
    expect(cluster.leader!.status.peers.find(({ id }) => id === 'n3')!.matchIndex).toBeLessThanOrEqual(lastIndex)
    expect(victim.base.index).toBe(0)
    expect(victim.written).toEqual([])
  })

  test('elects the one that was installed, and this serves others from its checkpoint', () => {
    const cluster = aheadOf('n3')
    cluster.restart('n3')
    cluster.tick(20)
    cluster.fetch('n3')
    cluster.install('n3')
    cluster.tick(5)
    const [lost, kept] = cluster.leader!.id === 'n1' ? ['n1', 'n2'] : ['n2', 'n1']
    cluster.crash(lost)
    cluster.campaign('n3')
    cluster.tickUntil('n3 leads', () => cluster.leader?.id === 'n3' && cluster.leader.status.established)
    for (let i = 0; i < 3; i++) cluster.propose(`more ${i}`)
    cluster.tick(5)
    expect(cluster.node(kept!).appliedTexts).toEqual(cluster.node('n3').appliedTexts)
    expect(cluster.node('n3').appliedTexts.at(-1)).toBe('more 2')
  })

  test('a follower that only lags is not installed by entries that arrive late', () => {
    const cluster = aheadOf('n3')
    const late = { ...appendOf(cluster.leader!.status.term, 1, 1, []), entries: [textEntry(2, 1, 'old')] }
    const [follower] = cluster.followers().filter((node) => node.isUp)
    const { id } = cluster.leader!
    const before = follower!.status
    cluster.deliverOne(sentBy(id, follower!.id, late))
    cluster.settle()
    expect(follower!.status).toMatchObject({ lastIndex: before.lastIndex, commitIndex: before.commitIndex })
  })
})
