import { beforeEach, describe, expect, it } from 'vitest'
import { MembershipKeeper } from '../../node/membership-keeper.ts'
import type { ChangeRefusal, Membership, MembershipChange } from '../../raft/index.ts'
import { HandClock, silent } from './checkpointing/support.ts'

const member = (id: string, incarnation = 'old') => ({ id, incarnation })

describe('the keeper of the members', () => {
  const clock = new HandClock()
  let membership: Membership
  let role: 'leader' | 'follower'
  /** The directory behind each open link, by id; a fresh one unless the test says so. */
  let links: Map<string, string>
  /** Incarnations that were members once. */
  let joined: Set<string>
  /** A second process of the same name, behind another link. */
  let seconds: Map<string, string>
  let applied: { membership: Membership | undefined; membershipIndex: number }
  let notices: unknown[][]
  let logged: string[]
  let changes: MembershipChange[]
  let refusal: ChangeRefusal | undefined
  let keeper: MembershipKeeper
  let boot: number

  const looks = async (count: number) => {
    for (; count > 0; count--) await clock.advance(500)
  }

  beforeEach(() => {
    membership = {
      clusterId: 'c',
      voters: ['n1', 'n2', 'n3'].map((id) => member(id)),
      votersOutgoing: [],
      learners: [],
    }
    role = 'leader'
    links = new Map([
      ['n2', 'old'],
      ['n3', 'old'],
    ])
    joined = new Set(['old'])
    seconds = new Map()
    applied = { membership, membershipIndex: 7 }
    notices = []
    logged = []
    changes = []
    refusal = undefined
    boot = 1
    keeper?.stop()
    keeper = new MembershipKeeper({
      clock,
      logger: { ...silent, warn: (what) => void logged.push(what) },
      own: 'n1',
      configured: ['n1', 'n2', 'n3', 'n4', 'n5'],
      driver: {
        status: () => ({ role, established: role === 'leader', membership }),
        changeMembership: (change) => {
          changes.push(change)
          return refusal ?? { index: 1 }
        },
      },
      applied: {
        get membership() {
          return applied.membership
        },
        get membershipIndex() {
          return applied.membershipIndex
        },
      },
      mesh: {
        identities: (id) =>
          [links.get(id), seconds.get(id)]
            .filter((incarnation) => incarnation !== undefined)
            .map((incarnation) => ({
              node: id,
              incarnation,
              bootId: boot,
              clusterId: 'c',
              joined: joined.has(incarnation),
            })),
        sendReplaced: (to, notice) => void notices.push([to, notice]),
      },
    })
    keeper.start()
  })

  it('makes a member whose directory was emptied a learner, and then the voter that it was', async () => {
    await looks(10)
    expect(changes).toEqual([])
    links.set('n3', 'new')
    await looks(2)
    expect(changes).toEqual([])
    await looks(1)
    expect(changes).toEqual([{ type: 'addLearner', member: member('n3', 'new') }])
    membership = { ...membership, learners: [member('n3', 'new')] }
    refusal = 'notCaughtUp'
    await looks(2)
    expect(changes.slice(1)).toEqual([
      { type: 'promote', id: 'n3' },
      { type: 'promote', id: 'n3' },
    ])
  })

  it('knows no strangers, and leaves learners learners', async () => {
    links.set('n4', 'any')
    links.set('n5', 'is')
    membership = { ...membership, learners: [member('n5', 'is')] }
    await looks(10)
    expect(changes).toEqual([])
  })

  it('waits until the same directory was there for a while', async () => {
    for (let flap = 0; flap < 8; flap++) {
      links.set('n3', flap % 2 === 0 ? 'one' : 'two')
      await looks(2)
    }
    expect(changes).toEqual([])
  })

  it('promotes no learner whose place has another directory by now', async () => {
    membership = { ...membership, learners: [member('n3', 'new')] }
    links.set('n3', 'newer')
    await looks(3)
    expect(changes).toEqual([{ type: 'addLearner', member: member('n3', 'newer') }])
  })

  it('gives a learner with another directory its place back as a learner', async () => {
    membership = { ...membership, learners: [member('n5', 'was')] }
    links.set('n5', 'is')
    await looks(3)
    expect(changes).toEqual([{ type: 'addLearner', member: member('n5', 'is') }])
  })

  it('is idle where this node does not lead', async () => {
    role = 'follower'
    links.set('n3', 'new')
    await looks(10)
    expect(changes).toEqual([])
  })

  describe('where a directory comes back that another one has replaced', () => {
    beforeEach(() => {
      membership = { ...membership, voters: [member('n1'), member('n2'), member('n3', 'new')] }
      applied = { membership, membershipIndex: 9 }
      joined.add('new')
    })

    const told = [member('n3'), { index: 9, by: 'new' }]

    it('takes it in no more, tells it at every look, and operators once', async () => {
      await looks(4)
      expect(changes).toEqual([])
      expect(notices).toEqual([told, told, told, told])
      expect(logged).toEqual(['a directory that was replaced comes back, and is turned away'])
      boot++
      await looks(2)
      expect(logged).toHaveLength(2)
    })

    it('finds it behind the link that does not count, too', async () => {
      links.set('n3', 'new')
      seconds.set('n3', 'old')
      await looks(1)
      expect(notices).toEqual([told])
    })

    it('takes in a fresh one, though it holds some of the log', async () => {
      links.set('n3', 'fresh')
      await looks(3)
      expect(changes).toEqual([{ type: 'addLearner', member: member('n3', 'fresh') }])
      expect(notices).toEqual([])
    })

    it('waits until the change that replaces it is committed', async () => {
      const before = {
        ...membership,
        voters: ['n1', 'n2', 'n3'].map((id) => member(id)),
        learners: [member('n3', 'new')],
      }
      applied = { membership: before, membershipIndex: 8 }
      await looks(5)
      expect([changes, notices]).toEqual([[], []])
    })

    it('leaves one alone that is about to be listed again', async () => {
      membership = { ...membership, learners: [member('n3')] }
      await looks(5)
      expect(notices).toEqual([])
    })

    it('leaves it to the leader', async () => {
      role = 'follower'
      await looks(5)
      expect(notices).toEqual([])
    })

    it('leaves alone who was removed by its id: an operator may add it again', async () => {
      membership = { ...membership, voters: [member('n1'), member('n2')] }
      applied = { membership, membershipIndex: 10 }
      await looks(5)
      expect([changes, notices]).toEqual([[], []])
    })
  })

  it('tells once of members that this node has no address of, whoever leads', async () => {
    role = 'follower'
    membership = { ...membership, learners: [member('n8')] }
    await looks(3)
    expect(logged).toEqual(['members have no address in the --cluster of this node'])
    membership = { ...membership, learners: [member('n8'), member('n9')] }
    await looks(3)
    expect(logged).toHaveLength(2)
  })
})
