import { describe, expect, test } from 'vitest'
import { type Entry, EntryType, InvariantError } from '../../raft/index.ts'
import {
  decodeMembership,
  encodeMembership,
  isImpostor,
  isVoter,
  type Membership,
  MembershipHistory,
} from '../../raft/membership.ts'
import { fc } from '../support/property.ts'

const member = fc.record({ id: fc.string(), incarnation: fc.string({ unit: 'grapheme' }) })
const membership: fc.Arbitrary<Membership> = fc.record({
  clusterId: fc.string(),
  voters: fc.array(member, { minLength: 1, maxLength: 5 }),
  votersOutgoing: fc.array(member, { maxLength: 5 }),
  learners: fc.array(member, { maxLength: 5 }),
})

function of(...ids: string[]): Membership {
  const voters = ids.map((id) => ({ id, incarnation: `${id}.1` }))
  return { clusterId: 'c', voters, votersOutgoing: [], learners: [] }
}

function entryOf(index: number, value: Membership): Entry {
  return { index, term: 1, type: EntryType.membership, data: encodeMembership(value) }
}

describe('the bytes of a membership', () => {
  test('have this form, on disks and wires that exist', () => {
    const bytes = encodeMembership({
      clusterId: 'c',
      voters: [{ id: 'n1', incarnation: 'ä' }],
      votersOutgoing: [],
      learners: [{ id: 'x', incarnation: '' }],
    })
    const [version, cluster, voters, outgoing, learners] = [
      '01',
      '010063',
      '010002006e310200c3a4',
      '0000',
      '0100010078' + '0000',
    ]
    expect(Buffer.from(bytes).toString('hex')).toBe(`${version}${cluster}${voters}${outgoing}${learners}`)
  })

  test('give back what was encoded', () => {
    fc.assert(
      fc.property(membership, (value) => {
        expect(decodeMembership(encodeMembership(value))).toEqual(value)
      }),
    )
  })

  test('of another version or shape end the process instead of being guessed at', () => {
    const bytes = encodeMembership(of('n1', 'n2'))
    expect(() => decodeMembership(Uint8Array.of(2, ...bytes.slice(1)))).toThrow(InvariantError)
    expect(() => decodeMembership(Uint8Array.of(...bytes, 0))).toThrow(InvariantError)
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodeMembership(bytes.slice(0, length))).toThrow(InvariantError)
    }
  })

  test('without a voter are refused: no quorum could ever be counted', () => {
    const bytes = encodeMembership({ clusterId: 'c', voters: [], votersOutgoing: [], learners: [] })
    expect(() => decodeMembership(bytes)).toThrow('without voters')
  })
})

describe('who counts', () => {
  const joint: Membership = {
    clusterId: 'c',
    voters: [{ id: 'n1', incarnation: 'new' }],
    votersOutgoing: [{ id: 'n1', incarnation: 'old' }],
    learners: [{ id: 'n2', incarnation: 'a' }],
  }

  test('voters of both lists, not learners, and only under the listed incarnation', () => {
    expect(isVoter(joint, { id: 'n1', incarnation: 'new' })).toBe(true)
    expect(isVoter(joint, { id: 'n1', incarnation: 'old' })).toBe(true)
    expect(isVoter(joint, { id: 'n1', incarnation: 'other' })).toBe(false)
    expect(isVoter(joint, { id: 'n2', incarnation: 'a' })).toBe(false)
  })

  test('an impostor is a listed id under an unlisted incarnation; an unknown id is none', () => {
    expect(isImpostor(joint, { id: 'n1', incarnation: 'old' })).toBe(false)
    expect(isImpostor(joint, { id: 'n2', incarnation: 'b' })).toBe(true)
    expect(isImpostor(joint, { id: 'n9', incarnation: 'b' })).toBe(false)
  })
})

describe('the history of memberships', () => {
  test('the newest held is in force, and the one before it again once the log is cut (trap 18)', () => {
    const history = new MembershipHistory()
    expect(history.current).toBeUndefined()
    history.adopt(entryOf(1, of('n1')))
    history.adopt(entryOf(5, of('n1', 'n2')))
    expect(history.current).toEqual(of('n1', 'n2'))
    history.truncateFrom(6)
    expect(history.current).toEqual(of('n1', 'n2'))
    history.truncateFrom(5)
    expect(history.current).toEqual(of('n1'))
    history.truncateFrom(1)
    expect(history.current).toBeUndefined()
  })

  test('an entry out of order or of another type is refused', () => {
    const history = new MembershipHistory()
    history.adopt(entryOf(3, of('n1')))
    expect(() => history.adopt(entryOf(3, of('n1')))).toThrow('invariant 1')
    expect(() => history.adopt({ ...entryOf(4, of('n1')), type: EntryType.command })).toThrow('invariant 2')
  })
})
