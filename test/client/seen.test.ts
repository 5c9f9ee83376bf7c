import { describe, expect, it } from 'vitest'
import type { OutcomeNotice } from '../../wire/session-frames.ts'
import { connected, lose, publishAll, reopen, watched } from './support/scene.ts'

const absent = (sequence: number): OutcomeNotice => ({ sequence, code: 'NotFound', message: 'no such queue' })
const absents = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => absent(from + i))

describe('what the cluster keeps for a client', () => {
  async function deleting(count: number) {
    const scene = await connected({}, (node) => {
      node.auto.control = false
    })
    const deleted = Array.from({ length: count }, (_, i) => watched(scene.client.queue(`q${i}`).delete()))
    await scene.clock.settle()
    expect(scene.node.controls).toHaveLength(count)
    const told = () => scene.node.settles.map(({ seen, items }) => [seen, items.length])
    const tell = async (from: number, to: number) => {
      for (const notice of absents(from, to)) scene.node.socket.outcome(notice)
      await scene.clock.settle()
    }
    return { ...scene, deleted, told, tell }
  }

  it('is acknowledged by a frame of its own when nothing else goes out: the cluster judges no more once it keeps too much', async () => {
    const { deleted, told, tell } = await deleting(5000)
    await tell(1, 1023)
    expect(told()).toEqual([])
    await tell(1024, 1024)
    expect(told()).toEqual([[1024, 0]])
    await tell(1025, 4096)
    await tell(4097, 5000)
    expect(told()).toEqual([
      [1024, 0],
      [4096, 0],
    ])
    expect(deleted.every(({ error }) => (error as { code?: string })?.code === 'NotFound')).toBe(true)
  })

  it('is acknowledged again on a new attachment that still keeps it', async () => {
    const scene = await deleting(2000)
    await scene.tell(1, 2000)
    expect(scene.told()).toEqual([[2000, 0]])
    await lose(scene)
    await reopen(scene)
    scene.node.socket.welcome({ lastSequence: 2000, outcomes: absents(1, 2000) })
    await scene.clock.settle()
    expect(scene.told()).toEqual([
      [2000, 0],
      [2000, 0],
    ])
  })

  it('needs no frame of its own while others go out', async () => {
    const { client, node, told, tell } = await deleting(2000)
    await tell(1, 1000)
    void client.publish('a.b', 1)
    await tell(1001, 2000)
    expect(node.publishes).toMatchObject([{ sequence: 2001, seen: 2000 }])
    expect(told()).toEqual([])
  })

  it('is acknowledged up to the middle of a frame whose rest is not judged yet', async () => {
    const { client, clock, node } = await connected()
    const published = publishAll(client, 3)
    await clock.settle()
    node.socket.confirm(2)
    await clock.settle()
    expect(published.map(({ isSettled }) => isSettled)).toEqual([true, true, false])
    void client.publish('a.b', 4)
    await clock.settle()
    expect(node.publishes.at(-1)).toMatchObject({ sequence: 4, seen: 2 })
  })
})
