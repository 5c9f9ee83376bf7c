/**
 * Checkpoints as the driver sees them: what waits for which write when a log is replaced, and what comes back from before that
 * and must not count any more.
 */
import { describe, expect, test } from 'vitest'
import { InvariantError, type Message, type SnapshotMark } from '../../raft/index.ts'
import { DriverNode, IDS, World } from './support/drivers.ts'
import { textEntry, textOf } from './support/entries.ts'
import { ManualClock, MemoryStorage, Mesh } from './support/ports.ts'
import { appendOf, foundedLog, heartbeat, sentBy, type Unsent } from './support/solo.ts'

const MEMBERSHIP = foundedLog(IDS, [1])[0]!
const MARK: SnapshotMark = { index: 9, term: 2, membership: MEMBERSHIP }

/** A follower n1 with four entries, the first two committed; the test speaks for its leader n2. */
class Follower {
  readonly clock = new ManualClock()
  readonly mesh = new Mesh(this.clock)
  readonly storage = new MemoryStorage()
  readonly node: DriverNode
  readonly restored: number[] = []

  constructor(commit = 2) {
    this.storage.hardState = { term: 1, vote: '', commit }
    this.storage.log.push(...foundedLog(IDS, [1, 1, 1, 1]))
    this.node = new DriverNode('n1', IDS, this.clock, this.mesh, this.storage)
    this.node.driver.start()
  }

  hears(body: Unsent): void {
    this.node.driver.receive(sentBy('n2', 'n1', body))
  }

  offered(): void {
    const { index, term, membership } = MARK
    this.hears({ type: 'installRequest', term: 3, index, lastTerm: term, membership })
  }

  install(mark = MARK): boolean {
    return this.node.driver.installed(mark, () => this.restored.push(this.node.driver.status().appliedIndex))
  }

  /** What it has told its leader since the last call. */
  said(): Message[] {
    return this.mesh.sent.splice(0)
  }

  get applied(): number[] {
    return this.node.machine.applied.map(({ index }) => index)
  }
}

describe('a driver that is offered a checkpoint', () => {
  test('tells its host of each offer', async () => {
    const follower = new Follower()
    for (let i = 0; i < 2; i++) {
      follower.offered()
      await follower.clock.rest()
    }
    const offer = { from: { id: 'n2', incarnation: 'n2.1' }, term: 3, mark: MARK }
    expect(follower.node.machine.offers).toEqual([offer, offer])
  })

  test('replaces the state machine at once, and the log in the order of the writes', async () => {
    const follower = new Follower()
    follower.offered()
    await follower.clock.rest()
    expect(follower.install()).toBe(true)
    expect(follower.restored).toEqual([9])
    follower.hears(appendOf(3, 9, 2, [3], 10))
    await follower.clock.rest()
    expect(follower.storage.resets).toEqual([{ index: 9, term: 2 }])
    expect(follower.storage.log.map(({ index }) => index)).toEqual([10])
    expect(follower.applied).toEqual([1, 2, 10])
    expect(follower.node.fatal).toEqual([])
  })

  test('tells the leader only when the new beginning is synced, and not before what it wrote earlier (trap 1)', async () => {
    const follower = new Follower()
    await follower.clock.rest()
    follower.storage.isHeld = true
    follower.hears(appendOf(3, 2, 1, [2]))
    await follower.clock.rest()
    follower.offered()
    follower.install()
    follower.hears(appendOf(3, 9, 2, [3]))
    await follower.clock.rest()
    expect(follower.said()).toEqual([])
    // The former append, the reset, the append behind it.
    expect(follower.storage.waitingCount).toBe(3)
    follower.storage.release(1)
    await follower.clock.rest()
    expect(follower.said()).toMatchObject([{ type: 'appendResponse', index: 3 }])
    expect(follower.node.driver.status().persistedIndex).toBe(2)
    follower.storage.release(1)
    await follower.clock.rest()
    expect(follower.said()).toEqual([])
    follower.storage.release(1)
    await follower.clock.rest()
    expect(follower.said()).toMatchObject([{ index: 9 }, { index: 10 }])
    expect(follower.node.driver.status()).toMatchObject({ persistedIndex: 10, firstIndex: 10 })
  })

  test('a reset that nothing follows is confirmed by itself', async () => {
    const follower = new Follower()
    follower.hears(heartbeat(3))
    await follower.clock.rest()
    follower.storage.isHeld = true
    follower.install()
    await follower.clock.rest()
    follower.said()
    expect(follower.storage.waitingCount).toBe(1)
    follower.storage.release()
    await follower.clock.rest()
    expect(follower.said()).toMatchObject([{ type: 'appendResponse', success: true, index: 9 }])
    expect(follower.node.driver.status().persistedIndex).toBe(9)
  })

  test('does nothing when the entries have come by themselves', async () => {
    const follower = new Follower()
    follower.offered()
    follower.hears(appendOf(3, 4, 1, [2, 2, 2, 2, 2], 0))
    await follower.clock.rest()
    expect(follower.install()).toBe(false)
    await follower.clock.rest()
    expect(follower.restored).toEqual([])
    expect(follower.storage.resets).toEqual([])
    expect(follower.applied).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9])
  })

  test('drops a read-back that began before: the machine reflects those entries already', async () => {
    const follower = new Follower(4)
    follower.storage.isReadHeld = true
    await follower.clock.rest()
    expect(follower.storage.reads).toMatchObject([{ from: 1 }])
    follower.offered()
    follower.install()
    follower.hears(appendOf(3, 9, 2, [3], 10))
    await follower.clock.rest()
    // Applying goes on behind the mark, whatever the old read does.
    expect(follower.applied).toEqual([10])
    follower.storage.releaseReads()
    await follower.clock.rest()
    expect(follower.applied).toEqual([10])
    expect(follower.node.fatal).toEqual([])
  })

  test('releases readers whose entry the checkpoint reflects', async () => {
    const follower = new Follower()
    follower.hears(heartbeat(3))
    await follower.clock.rest()
    let released = 0
    void follower.node.driver.readIndex(1000).then((index) => {
      released = index
    })
    await follower.clock.rest()
    const request = follower.said().find((message) => message.type === 'readRequest')
    follower.hears({ type: 'readResponse', term: 3, requestId: request!.requestId, index: 8 })
    await follower.clock.rest()
    expect(released).toBe(0)
    follower.install()
    await follower.clock.rest()
    expect(released).toBe(8)
  })

  test('ends when the state machine cannot be replaced', async () => {
    const follower = new Follower()
    follower.offered()
    const failure = new Error('restore')
    const isInstalled = follower.node.driver.installed(MARK, () => {
      throw failure
    })
    expect(isInstalled).toBe(false)
    await follower.clock.rest()
    expect(follower.node.fatal).toEqual([failure])
    expect(follower.storage.resets).toEqual([])
    expect(follower.install()).toBe(false)
  })
})

describe('a driver that starts from a checkpoint', () => {
  const started = (log: readonly number[]) => {
    const clock = new ManualClock()
    const storage = new MemoryStorage()
    storage.hardState = { term: 3, vote: '', commit: 11 }
    storage.base = { index: 9, term: 2 }
    storage.log.push(...log.map((index) => textEntry(index, 3, `${index}`)))
    const node = new DriverNode('n1', IDS, clock, new Mesh(clock), storage, () => 0, { checkpoint: MARK })
    node.driver.start()
    return { clock, storage, node }
  }

  test('applies what comes behind it, and nothing else', async () => {
    const { clock, node } = started([10, 11, 12])
    await clock.rest()
    expect(node.machine.applied.map(({ index }) => index)).toEqual([10, 11])
    expect(await node.driver.readEntries(9, 1000)).toEqual([])
    expect((await node.driver.readEntries(12, 1000)).map(textOf)).toEqual(['12'])
  })

  test('ends when storage has lost what is to be applied', async () => {
    const { clock, storage, node } = started([10, 11])
    storage.log.length = 0
    await clock.rest()
    expect(node.fatal).toEqual([expect.any(InvariantError)])
    expect(node.machine.applied).toEqual([])
  })
})

describe('a leader’s driver', () => {
  test('checkpoints, forgets, and offers what it forgot while it was being read for a peer', async () => {
    const world = new World()
    const leader = await world.elect()
    const [victim] = world.followers
    world.mesh.drop = (message) => message.to === victim!.id
    for (let i = 0; i < 40; i++) {
      leader.propose(`${i}`.padEnd(200, '.'))
      await world.clock.rest()
    }
    leader.storage.isReadHeld = true
    world.mesh.drop = () => false
    await world.clock.pass(300)
    expect(leader.storage.reads.length).toBeGreaterThan(0)
    const { driver } = leader
    const mark = driver.mark(driver.status().appliedIndex)
    driver.checkpointed(mark)
    driver.compact(mark.index)
    leader.storage.compact(mark.index)
    leader.storage.isReadHeld = false
    leader.storage.releaseReads()
    await world.clock.pass(300)
    expect(leader.fatal).toEqual([])
    expect(victim!.machine.offers.at(-1)).toMatchObject({ from: { id: leader.id }, mark: { index: mark.index } })
    // The host of the victim fetches it, and from then on entries come.
    expect(victim!.driver.installed(victim!.machine.offers.at(-1)!.mark, () => {})).toBe(true)
    leader.propose('after')
    await world.clock.pass(300)
    expect(victim!.texts.at(-1)).toBe('after')
    expect(driver.status()).toMatchObject({ firstIndex: mark.index + 1, checkpointIndex: mark.index })
  })

  test('ends rather than forget what no checkpoint reflects', async () => {
    const world = new World(['n1'])
    const node = await world.elect()
    node.driver.compact(1)
    expect(node.fatal).toEqual([expect.any(InvariantError)])
  })
})
