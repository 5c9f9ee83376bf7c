import { beforeEach, describe, expect, it } from 'vitest'
import { MembershipKeeper } from '../../node/membership-keeper.ts'
import type { ChangeRefusal, Membership, MembershipChange } from '../../raft/index.ts'
import { HandClock, silent } from './checkpointing/support.ts'

const member = (id: string, incarnation = 'old') => ({ id, incarnation })

describe('the keeper of the members', () => {
  const clock = new HandClock()
  let membership: Membership
  let role: 'leader' | 'follower'
  let links: Map<string, string>
  let changes: MembershipChange[]
  let refusal: ChangeRefusal | undefined
  let keeper: MembershipKeeper

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
    changes = []
    refusal = undefined
    keeper?.stop()
    keeper = new MembershipKeeper({
      clock,
      logger: silent,
      own: 'n1',
      driver: {
        status: () => ({ role, established: role === 'leader', membership }),
        changeMembership: (change) => {
          changes.push(change)
          return refusal ?? { index: 1 }
        },
      },
      incarnation: (id) => links.get(id),
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
})
