import { describe, expect, test } from 'vitest'
import { InvariantError, type Message, RaftDriver, ReadUnavailable } from '../../raft/index.ts'
import { textEntry, textOf } from './support/cluster.ts'
import { ManualClock, MemoryStorage, Mesh, RecordingMachine } from './support/ports.ts'
import { SeededRandom } from './support/random.ts'

const IDS = ['n1', 'n2', 'n3']

class DriverNode {
  readonly machine = new RecordingMachine()
  readonly fatal: unknown[] = []
  readonly driver: RaftDriver
  readonly storage: MemoryStorage

  constructor(id: string, memberIds: readonly string[], clock: ManualClock, mesh: Mesh, storage = new MemoryStorage()) {
    this.storage = storage
    const random = new SeededRandom(id.charCodeAt(1))
    this.driver = new RaftDriver({
      id,
      incarnation: `${id}.1`,
      memberIds,
      random: () => random.next(),
      mintClusterId: () => 'cluster',
      storage,
      transport: mesh.transport(),
      clock,
      machine: this.machine,
      onFatal: (error) => this.fatal.push(error),
      applyBytesMax: 1000,
      tuning: { cacheBytesMax: 4000, appendBytesMax: 1000 },
    })
    mesh.connect(id, (message) => this.driver.receive(message))
    this.driver.start()
  }

  get texts(): string[] {
    return this.machine.applied.filter((entry) => entry.type === 1).map(textOf)
  }

  propose(text: string) {
    return this.driver.propose(new TextEncoder().encode(text))
  }
}

class World {
  readonly clock = new ManualClock()
  readonly mesh = new Mesh(this.clock)
  readonly nodes: DriverNode[]

  constructor(ids: readonly string[] = IDS) {
    this.nodes = ids.map((id) => new DriverNode(id, ids, this.clock, this.mesh))
  }

  get leader(): DriverNode {
    return this.nodes.find((node) => node.driver.status().established)!
  }

  get followers(): DriverNode[] {
    return this.nodes.filter((node) => node !== this.leader)
  }

  async elect(): Promise<DriverNode> {
    for (let turns = 0; turns < 100 && this.leader === undefined; turns++) await this.clock.pass(50)
    return this.leader
  }
}

async function alone(): Promise<{ world: World; node: DriverNode }> {
  const world = new World(['n1'])
  return { world, node: await world.elect() }
}

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
})
