import { expect, it } from 'vitest'
import { PeerSpace } from '../../node/peer-space.ts'
import { HandClock } from './checkpointing/support.ts'

const ids = (...names: string[]) => names.map((id) => ({ id }))

it('is short when the voters with room are no majority any more, of either list of a joint change', () => {
  let electorate: { voters: { id: string }[]; votersOutgoing: { id: string }[] } | undefined
  const space = new PeerSpace({ clock: new HandClock(), electorate: () => electorate })
  space.heard('n2', true)
  space.heard('n3', true)
  expect(space.isShort).toBe(false)
  electorate = { voters: ids('n1', 'n2', 'n3'), votersOutgoing: [] }
  expect(space.isShort).toBe(true)
  electorate = { voters: ids('n1', 'n2', 'n4'), votersOutgoing: [] }
  expect(space.isShort).toBe(false)
  electorate = { voters: ids('n1', 'n2', 'n4'), votersOutgoing: ids('n1', 'n2', 'n3') }
  expect(space.isShort).toBe(true)
  space.heard('n3', false)
  expect(space.isShort).toBe(false)
  space.stop()
})

it('forgets what is not said again', async () => {
  const clock = new HandClock()
  const electorate = { voters: ids('n1', 'n2', 'n3'), votersOutgoing: [] }
  const space = new PeerSpace({ clock, electorate: () => electorate })
  space.heard('n2', true)
  space.heard('n3', true)
  await clock.advance(2_000)
  space.heard('n3', true)
  expect(space.isShort).toBe(true)
  await clock.advance(1_000)
  expect(space.isShort).toBe(false)
  space.heard('n2', true)
  await clock.advance(1_999)
  expect(space.isShort).toBe(true)
  space.stop()
  expect(clock.timers).toBe(0)
})
