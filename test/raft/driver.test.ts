import { describe, expect, test } from 'vitest'
import { InvariantError, type Message, ReadUnavailable } from '../../raft/index.ts'
import { alone, DriverNode, IDS, World } from './support/drivers.ts'
import { textOf } from './support/entries.ts'
import { ManualClock, MemoryStorage, Mesh } from './support/ports.ts'
import { foundedLog } from './support/solo.ts'

describe('a running group', () => {
  test('three drivers elect a leader and apply what it proposes, in order', async () => {
    const world = new World()
    const leader = await world.elect()
    const placed = ['a', 'b', 'c'].map((text) => leader.propose(text))
    await world.clock.pass(10)
    for (const node of world.nodes) expect(node.texts).toEqual(['a', 'b', 'c'])
    const command = leader.machine.applied.find((entry) => textOf(entry) === 'b')!
    expect(placed[1]).toEqual({ term: command.term, index: command.index })
  })

  test('nothing happens before start', async () => {
    const clock = new ManualClock()
    const node = new DriverNode('n1', ['n1'], clock, new Mesh(clock))
    await clock.pass(2000)
    expect(node.machine.roles).toEqual([])
    node.driver.start()
    await clock.pass(100)
    expect(node.driver.status().role).toBe('leader')
  })

  test('proposals of one turn are one write here and one append per peer', async () => {
    const world = new World()
    const leader = await world.elect()
    const writes = leader.storage.batches.length
    world.mesh.sent.length = 0
    for (let i = 0; i < 9; i++) leader.propose(`${i}`)
    await world.clock.turn()
    expect(leader.storage.batches.slice(writes).map((batch) => batch.entries.length)).toEqual([9])
    expect(world.mesh.sent.filter((message) => message.type === 'appendRequest')).toHaveLength(2)
  })

  test('the data of an entry is the proposer’s own bytes, uncopied, down to the state machine', async () => {
    const { world, node } = await alone()
    const data = new Uint8Array(100)
    node.driver.propose(data)
    await world.clock.rest()
    expect(node.machine.applied.at(-1)!.data).toBe(data)
  })

  test('a leader is established once its own entry is applied, and tells so once', async () => {
    const world = new World()
    const leader = await world.elect()
    expect(leader.machine.roles.map(({ role, established }) => ({ role, established }))).toEqual(
      expect.arrayContaining([
        { role: 'leader', established: false },
        { role: 'leader', established: true },
      ]),
    )
    expect(leader.machine.roles.filter(({ established }) => established)).toHaveLength(1)
    for (const follower of world.followers) {
      expect(follower.machine.roles.at(-1)).toMatchObject({ role: 'follower', leader: leader.driver.status().leader })
    }
  })

  test('a follower that sees the leader’s process die takes over long before an election timeout', async () => {
    const world = new World()
    const leader = await world.elect()
    const { leader: id } = leader.driver.status()
    leader.driver.stop()
    for (const node of world.nodes) node.driver.peerDown(id!)
    await world.clock.pass(350)
    const next = world.nodes.find((node) => node !== leader && node.driver.status().established)
    expect(next).toBeDefined()
  })

  test('members change and leadership moves as the leader is told, and others refuse', async () => {
    const world = new World()
    const leader = await world.elect()
    const [follower, other] = world.followers
    const learner = { id: 'n9', incarnation: 'n9.1' }
    expect(follower!.driver.changeMembership({ type: 'addLearner', member: learner })).toBe('notLeader')
    const { lastIndex: before, term } = leader.driver.status()
    const put = leader.driver.changeMembership({ type: 'addLearner', member: learner })
    expect(put).toEqual({ term, index: before + 1 })
    await world.clock.rest()
    expect(follower!.driver.status().membership!.learners).toEqual([learner])
    expect(other!.driver.transferLeadership()).toBe(false)
    expect(leader.driver.transferLeadership(other!.id)).toBe(true)
    await world.clock.rest()
    expect(other!.driver.status()).toMatchObject({ role: 'leader', established: true })
    other!.driver.stop()
    expect(other!.driver.changeMembership({ type: 'remove', id: 'n9' })).toBe('notLeader')
    expect(other!.driver.transferLeadership()).toBe(false)
  })

  test('a link that is new is used at once', async () => {
    const world = new World()
    const leader = await world.elect()
    const [victim] = world.followers
    const { id } = victim!
    world.mesh.drop = (message) => message.to === id
    leader.propose('a')
    await world.clock.rest()
    world.mesh.drop = () => false
    leader.driver.peerUp(id)
    await world.clock.rest()
    expect(victim!.texts).toEqual(['a'])
  })
})

describe('the disk', () => {
  test('several writes are under way, and what waits for each leaves when it is synced, in order (trap 1)', async () => {
    const world = new World()
    const leader = await world.elect()
    const [follower] = world.followers
    follower!.storage.isHeld = true
    world.mesh.sent.length = 0
    for (const text of ['a', 'b', 'c']) {
      leader.propose(text)
      await world.clock.rest()
    }
    expect(follower!.storage.waitingCount).toBe(3)
    const answers = () =>
      world.mesh.sent.flatMap((message) => {
        return message.type === 'appendResponse' && message.from === follower!.id ? [message.index] : []
      })
    expect(answers()).toEqual([])
    follower!.storage.release(1)
    await world.clock.rest()
    expect(answers().every((index) => index === 2)).toBe(true)
    expect(answers().length).toBeGreaterThan(0)
    follower!.storage.release()
    await world.clock.rest()
    expect(answers().at(-1)).toBe(4)
    expect(answers()).toEqual([...answers()].sort((a, b) => a - b))
  })

  test('that stands still holds back no more than the newest answers, however long the leader asks', async () => {
    const world = new World()
    const leader = await world.elect()
    const [follower] = world.followers
    follower!.storage.isHeld = true
    leader.propose('a')
    await world.clock.rest()
    const asked = world.mesh.sent.findLast(({ type, to }) => type === 'appendRequest' && to === follower!.id)!
    for (let turn = 0; turn < 30; turn++) {
      for (let i = 0; i < 100; i++) follower!.driver.receive(asked)
      await world.clock.turn()
    }
    world.mesh.sent.length = 0
    follower!.storage.release()
    await world.clock.rest()
    const answers = world.mesh.sent.filter(({ type, from }) => type === 'appendResponse' && from === follower!.id)
    expect(answers.length).toBeLessThan(1_100)
    expect(answers.at(-1)).toMatchObject({ success: true, index: leader.driver.status().lastIndex })
  })

  test('appends leave while the leader’s own write is under way, but it does not count itself (trap 4)', async () => {
    const world = new World()
    const leader = await world.elect()
    leader.storage.isHeld = true
    for (const follower of world.followers) follower.storage.isHeld = true
    leader.propose('a')
    await world.clock.rest()
    for (const follower of world.followers) expect(follower.storage.waitingCount).toBe(1)
    world.followers[0]!.storage.release()
    await world.clock.rest()
    expect(leader.texts).toEqual([])
    leader.storage.release()
    await world.clock.rest()
    expect(leader.texts).toEqual(['a'])
  })

  test('a write that fails stops the driver, is reported once and never repeated (trap 21)', async () => {
    const { world, node } = await alone()
    const failure = new Error('EIO')
    node.storage.failure = failure
    const writes = node.storage.batches.length
    node.propose('a')
    node.propose('b')
    await world.clock.rest()
    expect(node.fatal).toEqual([failure])
    expect(node.propose('c')).toBeUndefined()
    await world.clock.pass(500)
    expect(node.fatal).toEqual([failure])
    expect(node.storage.batches).toHaveLength(writes)
    expect(world.clock.timerCount).toBe(0)
    expect(node.texts).toEqual([])
  })

  test('several writes that fail are reported once', async () => {
    const { world, node } = await alone()
    node.storage.isHeld = true
    for (const text of ['a', 'b']) {
      node.propose(text)
      await world.clock.rest()
    }
    expect(node.storage.waitingCount).toBe(2)
    node.storage.failWaiting(new Error('EIO'))
    await world.clock.rest()
    expect(node.fatal).toEqual([new Error('EIO')])
  })

  test('a broken invariant stops the driver too', async () => {
    const world = new World()
    const leader = await world.elect()
    const { term } = leader.driver.status()
    const forged: Message = {
      type: 'heartbeat',
      from: world.followers[0]!.id,
      to: leader.id,
      fromIncarnation: `${world.followers[0]!.id}.1`,
      toIncarnation: `${leader.id}.1`,
      term,
      commit: 0,
      round: 0,
      trusted: 0,
    }
    leader.driver.receive(forged)
    expect(leader.fatal).toEqual([expect.any(InvariantError)])
    leader.driver.receive(forged)
    expect(leader.fatal).toHaveLength(1)
  })

  test('so does a state machine that throws, and it applies nothing after that', async () => {
    const { world, node } = await alone()
    node.machine.onApply = (entry) => {
      if (textOf(entry) === 'bad') throw new Error('broken machine')
    }
    for (const text of ['good', 'bad', 'next']) node.propose(text)
    await world.clock.rest()
    expect(node.fatal).toEqual([new Error('broken machine')])
    expect(node.texts).toEqual(['good', 'bad'])
  })

  test('a commit index alone is not written', async () => {
    const { world, node } = await alone()
    node.propose('a')
    await world.clock.rest()
    const writes = node.storage.batches.length
    await world.clock.pass(500)
    expect(node.storage.batches).toHaveLength(writes)
  })
})

describe('applying', () => {
  const long = (name: string) => name.padEnd(400, '.')

  test('each turn applies a bounded amount, and the rest follows', async () => {
    const { world, node } = await alone()
    const words = Array.from({ length: 10 }, (_, at) => long(`w${at}`))
    for (const word of words) node.propose(word)
    await world.clock.turn()
    await world.clock.turn()
    // Bound 1000: three of 400 pass it.
    expect(node.texts).toHaveLength(3)
    await world.clock.turn()
    expect(node.texts).toHaveLength(6)
    await world.clock.rest()
    expect(node.texts).toEqual(words)
  })

  test('after a restart everything is read back and applied in order, then new entries follow', async () => {
    const { world, node } = await alone()
    const words = Array.from({ length: 20 }, (_, at) => long(`w${at}`))
    for (const word of words) {
      node.propose(word)
      await world.clock.rest()
    }
    node.driver.stop()
    const clock = new ManualClock()
    const again = new DriverNode('n1', ['n1'], clock, new Mesh(clock), node.storage)
    again.driver.start()
    await clock.pass(200)
    again.propose('new')
    await clock.rest()
    expect(again.texts).toEqual([...words, 'new'])
    expect(Math.max(...node.storage.reads.map((read) => read.bytesMax))).toBe(1000)
  })

  test('what is committed while older entries are read back waits for its turn', async () => {
    const { world, node } = await alone()
    const words = Array.from({ length: 20 }, (_, at) => long(`w${at}`))
    for (const word of words) {
      node.propose(word)
      await world.clock.rest()
    }
    node.driver.stop()
    const clock = new ManualClock()
    const again = new DriverNode('n1', ['n1'], clock, new Mesh(clock), node.storage)
    node.storage.isReadHeld = true
    again.driver.start()
    const reads = node.storage.reads.length
    await clock.pass(100)
    again.propose('new')
    await clock.pass(100)
    expect(again.texts).toEqual([])
    expect(node.storage.reads).toHaveLength(reads + 1)
    node.storage.isReadHeld = false
    node.storage.releaseReads()
    await clock.rest()
    expect(again.texts).toEqual([...words, 'new'])
  })

  test('what is not committed yet is not applied, though a read brings it along', async () => {
    const storage = new MemoryStorage()
    const clock = new ManualClock()
    const mesh = new Mesh(clock)
    storage.hardState = { term: 1, vote: '', commit: 2 }
    storage.log.push(...foundedLog(IDS, [1, 1, 1, 1]))
    const node = new DriverNode('n1', IDS, clock, mesh, storage)
    node.driver.start()
    await clock.pass(50)
    expect(node.machine.applied.map((entry) => entry.index)).toEqual([1, 2])
    expect(node.driver.status()).toMatchObject({ appliedIndex: 2, commitIndex: 2, lastIndex: 4 })
  })

  test('a peer that is far behind is fed from storage', async () => {
    const world = new World()
    const leader = await world.elect()
    const [victim] = world.followers
    world.mesh.drop = (message) => message.to === victim!.id
    const words = Array.from({ length: 40 }, (_, at) => long(`w${at}`))
    for (const word of words) {
      leader.propose(word)
      await world.clock.rest()
    }
    expect(leader.driver.entry(2)).toBeUndefined()
    world.mesh.drop = () => false
    await world.clock.pass(150)
    expect(victim!.texts).toEqual(words)
  })

  test('entries are read from memory or storage alike', async () => {
    const { world, node } = await alone()
    for (let i = 0; i < 40; i++) {
      node.propose(long(`w${i}`))
      await world.clock.rest()
    }
    expect(node.driver.entry(2)).toBeUndefined()
    expect(textOf(node.driver.entry(41)!)).toBe(long('w39'))
    const reads = node.storage.reads.length
    expect((await node.driver.readEntries(41, 1000)).map((entry) => entry.index)).toEqual([41])
    expect(node.storage.reads).toHaveLength(reads)
    expect((await node.driver.readEntries(2, 1000)).map((entry) => entry.index)).toEqual([2, 3])
    node.storage.failure = new Error('EIO')
    await expect(node.driver.readEntries(2, 1000)).rejects.toThrow('EIO')
    expect(node.fatal).toEqual([node.storage.failure])
  })
})

describe('reading', () => {
  test('a reader anywhere sees what was committed before it asked', async () => {
    const world = new World()
    const leader = await world.elect()
    for (const node of world.nodes) {
      const placed = leader.propose(`for ${node.id}`)!
      await world.clock.rest()
      const read = node.driver.readIndex(1000)
      await world.clock.rest()
      expect(await read).toBeGreaterThanOrEqual(placed.index)
      expect(node.texts.at(-1)).toBe(`for ${node.id}`)
    }
  })

  test('readers of one turn are one question', async () => {
    const world = new World()
    await world.elect()
    const [follower] = world.followers
    world.mesh.sent.length = 0
    const reads = Array.from({ length: 50 }, () => follower!.driver.readIndex(1000))
    await world.clock.rest()
    await Promise.all(reads)
    expect(world.mesh.sent.filter((message) => message.type === 'readRequest')).toHaveLength(1)
  })

  test('a question or answer that was lost is asked again under a new id (trap 10)', async () => {
    const world = new World()
    await world.elect()
    const [follower] = world.followers
    let lost = 0
    world.mesh.drop = (message) => message.type === 'readResponse' && lost++ === 0
    world.mesh.sent.length = 0
    const read = follower!.driver.readIndex(1000)
    await world.clock.pass(300)
    await read
    const ids = world.mesh.sent.flatMap((message) => (message.type === 'readRequest' ? [message.requestId] : []))
    expect(new Set(ids).size).toBe(2)
  })

  test('ids begin at random, so that an answer to a former process is not taken for ours (trap 10)', async () => {
    const world = new World()
    await world.elect()
    world.mesh.sent.length = 0
    const reads = world.followers.map((node) => node.driver.readIndex(1000))
    await world.clock.rest()
    await Promise.all(reads)
    const ids = world.mesh.sent.flatMap((message) => (message.type === 'readRequest' ? [message.requestId] : []))
    expect(new Set(ids).size).toBe(2)
    expect(Math.min(...ids)).toBeGreaterThan(2 ** 30)
  })

  test('without a leader it waits for one, until its deadline', async () => {
    const world = new World()
    const outcome = (promise: Promise<number>) => promise.then(String, (error: Error) => error.name)
    const short = outcome(world.nodes[0]!.driver.readIndex(100))
    const patient = outcome(world.nodes[0]!.driver.readIndex(10_000))
    await world.clock.pass(110)
    expect(await short).toBe('ReadUnavailable')
    await world.elect()
    await world.clock.pass(100)
    expect(await patient).toBe('1')
  })

  test('it resolves only once the node has applied that far', async () => {
    const world = new World()
    const leader = await world.elect()
    const [follower] = world.followers
    for (let i = 0; i < 60; i++) leader.propose('x'.repeat(900))
    const status = () => follower!.driver.status()
    while (status().commitIndex < 61) await world.clock.turn()
    let appliedWhenAnswered = 0
    world.mesh.drop = (message) => {
      if (message.type === 'readResponse') appliedWhenAnswered = status().appliedIndex
      return false
    }
    const read = follower!.driver.readIndex(1000).then((index) => ({ index, applied: status().appliedIndex }))
    await world.clock.rest()
    expect(await read).toEqual({ index: 61, applied: 61 })
    expect(appliedWhenAnswered).toBeGreaterThan(0)
    expect(appliedWhenAnswered).toBeLessThan(50)
  })

  test('stop rejects open readers, and later ones', async () => {
    const world = new World()
    const open = world.nodes[0]!.driver.readIndex(1000)
    world.nodes[0]!.driver.stop()
    await expect(open).rejects.toThrow(ReadUnavailable)
    await expect(world.nodes[0]!.driver.readIndex(1000)).rejects.toThrow(ReadUnavailable)
    await world.clock.pass(100)
    expect(world.nodes[0]!.machine.roles).toEqual([])
  })
})

describe('time', () => {
  test('a stall, however long, counts as one tick and causes no election (trap 46)', async () => {
    const world = new World()
    const leader = await world.elect()
    for (let i = 0; i < 20; i++) {
      world.clock.jump(5000)
      await world.clock.rest()
    }
    expect(world.leader).toBe(leader)
    for (const follower of world.followers) expect(follower.driver.status().elections).toBe(0)
  })

  test('what came during a stall is heard before the tick counts (trap 46)', async () => {
    const storage = new MemoryStorage()
    const clock = new ManualClock()
    const mesh = new Mesh(clock)
    storage.hardState = { term: 1, vote: '', commit: 0 }
    storage.log.push(...foundedLog(IDS, [1]))
    const node = new DriverNode('n1', IDS, clock, mesh, storage, () => 0)
    node.driver.start()
    await clock.pass(590)
    expect(mesh.sent).toEqual([])
    // The 60th tick would campaign. Its timer fires, and the same turn of the event loop finds a heartbeat in the socket.
    clock.jump(3000)
    const incarnations = { fromIncarnation: 'n2.1', toIncarnation: 'n1.1' }
    const heard = { term: 1, commit: 0, round: 0, trusted: 0 }
    node.driver.receive({ type: 'heartbeat', from: 'n2', to: 'n1', ...incarnations, ...heard })
    await clock.rest()
    expect(mesh.sent.map((message) => message.type)).toEqual(['heartbeatResponse'])
    await clock.pass(580)
    expect(mesh.sent).toHaveLength(1)
    await clock.pass(10)
    expect(mesh.sent.map((message) => message.type).slice(1)).toEqual(['voteRequest', 'voteRequest'])
  })
})
