import { beforeEach, describe, expect, it } from 'vitest'
import { MembershipOperations } from '../../node/membership-operations.ts'
import type { ChangeRefusal, Membership, MembershipChange } from '../../raft/index.ts'
import { HandClock, rest } from './checkpointing/support.ts'

const member = (id: string, incarnation = `${id}-a`) => ({ id, incarnation })

/** A leader that refuses what it is told to refuse, and applies changes when the test says so. */
class Leader {
  role: 'leader' | 'follower' = 'leader'
  leader: string | undefined = 'n1'
  term = 3
  refusals: ChangeRefusal[] = []
  readonly changes: MembershipChange[] = []
  transfers: (string | undefined)[] = []
  mayTransfer = true
  applied: Membership = {
    clusterId: 'c',
    voters: ['n1', 'n2', 'n3'].map((id) => member(id)),
    votersOutgoing: [],
    learners: [],
  }
  readonly links = new Map([['n4', 'n4-a']])
  joined = false
  readonly clock = new HandClock()
  readonly operations = new MembershipOperations({
    clock: this.clock,
    own: 'n1',
    configured: ['n1', 'n2', 'n3', 'n4', 'n5'],
    driver: {
      status: () => ({
        role: this.role,
        leader: this.leader,
        term: this.term,
        peers: [
          { id: 'n4', incarnation: 'n4-a', role: 'learner', matchIndex: 1, lagEntries: 77, mode: 'probe', doubt: 0 },
        ],
      }),
      changeMembership: (change) => {
        const refusal = this.refusals.shift()
        if (refusal !== undefined) return refusal
        this.changes.push(change)
        return { index: 9 }
      },
      transferLeadership: (to) => {
        this.transfers.push(to)
        return this.mayTransfer
      },
    },
    applied: () => this.applied,
    peer: (id) => {
      const incarnation = this.links.get(id)
      return incarnation === undefined
        ? undefined
        : { node: id, incarnation, bootId: 1, clusterId: 'c', joined: this.joined }
    },
  })
}

/** How a promise ended, if it has. */
function ending(promise: Promise<unknown>) {
  const seen: { value?: unknown; error?: unknown } = {}
  promise.then(
    (value) => Object.assign(seen, { value }),
    (error) => Object.assign(seen, { error }),
  )
  return seen
}

describe('operations on the members', () => {
  let world: Leader
  beforeEach(() => {
    world = new Leader()
  })

  it('are not for those who do not lead: they say who does', async () => {
    world.role = 'follower'
    world.leader = 'n2'
    const answer = await world.operations.run({ what: 'remove', id: 'n3', timeoutMs: 1 })
    expect(answer).toEqual({ done: false, leader: 'n2' })
    expect(world.changes).toEqual([])
  })

  it('add the directory that the leader has a link to, and answer once that is committed', async () => {
    const seen = ending(world.operations.run({ what: 'add', id: 'n4', promote: false, timeoutMs: 1_000 }))
    await world.clock.advance(100)
    expect(world.changes).toEqual([{ type: 'addLearner', member: member('n4') }])
    expect(seen).toEqual({})
    world.applied = { ...world.applied, learners: [member('n4')] }
    await world.clock.advance(100)
    expect(seen.value).toEqual({ done: true, voters: ['n1', 'n2', 'n3'], learners: ['n4'], leader: 'n1' })
  })

  it('promote what was added once it has caught up, and wait for both halves of the change', async () => {
    const seen = ending(world.operations.run({ what: 'add', id: 'n4', promote: true, timeoutMs: 10_000 }))
    world.applied = { ...world.applied, learners: [member('n4')] }
    world.refusals = ['changePending', 'notCaughtUp', 'notCaughtUp']
    for (let look = 0; look < 6; look++) await world.clock.advance(20)
    expect(world.changes).toEqual([
      { type: 'addLearner', member: member('n4') },
      { type: 'promote', id: 'n4' },
    ])
    const voters = [...world.applied.voters, member('n4')]
    world.applied = { ...world.applied, voters, votersOutgoing: world.applied.voters, learners: [] }
    await world.clock.advance(20)
    expect(seen).toEqual({})
    world.applied = { ...world.applied, votersOutgoing: [] }
    await world.clock.advance(20)
    expect(seen.value).toMatchObject({ done: true, voters: ['n1', 'n2', 'n3', 'n4'], learners: [] })
  })

  it('promote what is a learner already, when a voter is asked for', async () => {
    world.applied = { ...world.applied, learners: [member('n4')] }
    const seen = ending(world.operations.run({ what: 'add', id: 'n4', promote: true, timeoutMs: 10_000 }))
    await world.clock.advance(20)
    expect(world.changes).toEqual([{ type: 'promote', id: 'n4' }])
    world.applied = { ...world.applied, voters: [...world.applied.voters, member('n4')], learners: [] }
    await world.clock.advance(20)
    expect(seen.value).toMatchObject({ done: true })
  })

  it('add nobody whom the leader cannot reach', async () => {
    const add = (id: string) => world.operations.run({ what: 'add', id, promote: false, timeoutMs: 1 })
    await expect(add('n5')).rejects.toMatchObject({ code: 'Precondition', message: expect.stringContaining('no link') })
    await expect(add('n9')).rejects.toMatchObject({ code: 'NotFound', message: expect.stringContaining('--cluster') })
    await expect(add('n1')).rejects.toMatchObject({ code: 'Precondition', message: "'n1' is a member already" })
    expect(world.changes).toEqual([])
  })

  it('add no directory that was replaced by another one, but one that was removed', async () => {
    world.joined = true
    world.applied = { ...world.applied, learners: [member('n4', 'n4-b')] }
    const add = () => world.operations.run({ what: 'add', id: 'n4', promote: false, timeoutMs: 100 })
    await expect(add()).rejects.toMatchObject({
      code: 'Precondition',
      message: expect.stringContaining('was replaced'),
    })
    expect(world.changes).toEqual([])
    world.applied = { ...world.applied, learners: [] }
    const seen = ending(add())
    world.applied = { ...world.applied, learners: [member('n4')] }
    await world.clock.advance(20)
    expect(world.changes).toEqual([{ type: 'addLearner', member: member('n4') }])
    expect(seen.value).toMatchObject({ learners: ['n4'] })
  })

  it.each([
    ['unknownMember', 'NotFound'],
    ['alreadyMember', 'Precondition'],
    ['lastVoter', 'Precondition'],
    ['quorumAtRisk', 'Precondition'],
    ['notLeader', 'NoQuorum'],
  ] as const)('refused as %s fail at once with %s, and nothing was done', async (refusal, code) => {
    world.refusals = [refusal]
    const removed = world.operations.run({ what: 'remove', id: 'n3', timeoutMs: 60_000 })
    await expect(removed).rejects.toMatchObject({ code, outcome: 'not-applied' })
  })

  it.each([
    ['notCaughtUp', 'it lacks 77 entries'],
    ['changePending', 'another change'],
  ] as const)('end at their deadline while the core says %s', async (refusal, message) => {
    world.refusals = Array.from({ length: 1_000 }, () => refusal)
    const seen = ending(world.operations.run({ what: 'promote', id: 'n4', timeoutMs: 100 }))
    for (let look = 0; look < 8; look++) await world.clock.advance(20)
    expect(seen.error).toMatchObject({ code: 'Timeout', outcome: 'not-applied' })
    expect(String(seen.error)).toContain(message)
  })

  it('are refused in words that fit them', async () => {
    const refused = (what: 'add' | 'promote', id: string) => {
      world.refusals = ['alreadyMember']
      return world.operations.run({ what, id, promote: false, timeoutMs: 1 })
    }
    await expect(refused('promote', 'n2')).rejects.toThrow("'n2' is a voter already")
    await expect(refused('add', 'n4')).rejects.toThrow("'n4' is a member already")
  })

  it('name no leader that is no member any more', async () => {
    const seen = ending(world.operations.run({ what: 'remove', id: 'n1', timeoutMs: 1_000 }))
    world.applied = { ...world.applied, voters: ['n2', 'n3'].map((id) => member(id)) }
    await world.clock.advance(20)
    expect(seen.value).toEqual({ done: true, voters: ['n2', 'n3'], learners: [], leader: undefined })
  })

  it('that no majority confirms in time may yet come to be, and say so', async () => {
    const seen = ending(world.operations.run({ what: 'remove', id: 'n3', timeoutMs: 100 }))
    for (let look = 0; look < 8; look++) await world.clock.advance(20)
    expect(seen.error).toMatchObject({ code: 'NoQuorum', outcome: 'unknown' })
  })

  it('hand leadership over, and answer when another leads', async () => {
    const seen = ending(world.operations.run({ what: 'transfer', to: 'n2', timeoutMs: 1_000 }))
    await world.clock.advance(20)
    expect(world.transfers).toEqual(['n2'])
    // Nobody leads the next term yet.
    world.term = 4
    world.leader = undefined
    await world.clock.advance(20)
    expect(seen).toEqual({})
    world.leader = 'n2'
    await world.clock.advance(20)
    expect(seen.value).toMatchObject({ done: true, leader: 'n2' })

    world.mayTransfer = false
    const refused = world.operations.run({ what: 'transfer', to: undefined, timeoutMs: 1_000 })
    await expect(refused).rejects.toMatchObject({ code: 'Precondition' })
    await expect(world.operations.run({ what: 'transfer', to: 'n1', timeoutMs: 1 })).rejects.toThrow('leads already')
  })

  it('fail when nobody takes over in time', async () => {
    const seen = ending(world.operations.run({ what: 'transfer', to: undefined, timeoutMs: 100 }))
    for (let look = 0; look < 8; look++) await world.clock.advance(20)
    expect(seen.error).toMatchObject({ code: 'Timeout' })
    await rest()
  })
})
