/**
 * Drivers on ports in memory, alone or as a group: what a test of the running thing needs.
 */
import { RaftDriver, type RaftDriverOptions } from '../../../raft/index.ts'
import { Random } from '../../support/random.ts'
import { textOf } from './entries.ts'
import { ManualClock, MemoryStorage, Mesh, RecordingMachine } from './ports.ts'

export const IDS = ['n1', 'n2', 'n3']

function diceOf(id: string): () => number {
  const dice = new Random(id.charCodeAt(1))
  return () => dice.fraction()
}

export class DriverNode {
  readonly id: string
  readonly machine = new RecordingMachine()
  readonly fatal: unknown[] = []
  readonly driver: RaftDriver
  readonly storage: MemoryStorage

  constructor(
    id: string,
    memberIds: readonly string[],
    clock: ManualClock,
    mesh: Mesh,
    storage = new MemoryStorage(),
    random = diceOf(id),
    more: Partial<RaftDriverOptions> = {},
  ) {
    this.id = id
    this.storage = storage
    this.driver = new RaftDriver({
      id,
      incarnation: `${id}.1`,
      memberIds,
      random,
      mintClusterId: () => 'cluster',
      storage,
      transport: mesh.transport(),
      clock,
      machine: this.machine,
      onFatal: (error) => this.fatal.push(error),
      applyBytesMax: 1000,
      tuning: { cacheBytesMax: 4000, appendBytesMax: 1000 },
      ...more,
    })
    mesh.connect(id, (message) => this.driver.receive(message))
  }

  get texts(): string[] {
    return this.machine.applied.filter((entry) => entry.type === 1).map(textOf)
  }

  propose(text: string) {
    return this.driver.propose(new TextEncoder().encode(text))
  }
}

export class World {
  readonly clock = new ManualClock()
  readonly mesh = new Mesh(this.clock)
  readonly nodes: DriverNode[]

  constructor(ids: readonly string[] = IDS) {
    this.nodes = ids.map((id) => new DriverNode(id, ids, this.clock, this.mesh))
    for (const node of this.nodes) node.driver.start()
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

/** A driver whose group has no other member, as leader. */
export async function alone(): Promise<{ world: World; node: DriverNode }> {
  const world = new World(['n1'])
  return { world, node: await world.elect() }
}
