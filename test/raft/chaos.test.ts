/**
 * Random faults on a commanded cluster, from a seed: crashes that lose what was not synced, slow disks, one-way cuts, lost,
 * repeated and late messages, false evidence of dead leaders, all mixed; and members that make checkpoints, forget their logs
 * behind them, fetch and install those of others, or crash halfway through; and members that come and go, lose their directories
 * or the ends of their logs. The cluster checks safety at every step; at the
 * end, healed, everybody must agree, hold whatever was seen applied, and be able to go on.
 *
 * The simulator does this with the real disk code and the whole node; here the core alone is under test, in milliseconds.
 */
import { expect, test } from 'vitest'
import { decodeMembership, EntryType, type Message } from '../../raft/index.ts'
import { Random } from '../support/random.ts'
import { Cluster } from './support/cluster.ts'
import { doQuorumsMeet, MembershipNemesis } from './support/membership-nemesis.ts'
import type { TestNode } from './support/test-node.ts'

const SEEDS = 60
const STEPS = 250
const TUNING = { electionTicks: 10, heartbeatTicks: 2, inflightBytesMax: 600, appendBytesMax: 300, cacheBytesMax: 800 }

class Chaos {
  readonly cluster: Cluster
  readonly nemesis: MembershipNemesis
  readonly #dice: Random
  readonly #late: Message[] = []
  readonly seenApplied = new Set<string>()
  installs = 0
  /** Installs that took an uncommitted end with them. */
  tailsLost = 0
  /** Starts of a member whose log did not reach its checkpoint. */
  interrupted = 0
  #proposed = 0
  #isRedelivering = false

  constructor(seed: number) {
    this.#dice = new Random(seed)
    const ids = seed % 3 === 0 ? ['n1', 'n2', 'n3', 'n4', 'n5'] : ['n1', 'n2', 'n3']
    this.cluster = new Cluster(ids, { seed, tuning: TUNING })
    this.cluster.drop = (message) => this.#mistreat(message)
    this.nemesis = new MembershipNemesis(this.cluster, this.#dice)
  }

  #chance(probability: number): boolean {
    return this.#dice.fraction() < probability
  }

  #anyNode(): TestNode {
    return this.cluster.node(this.cluster.ids[this.#dice.below(this.cluster.ids.length)]!)
  }

  #mistreat(message: Message): boolean {
    if (this.#isRedelivering) return false
    if (this.#chance(0.03)) this.#late.push(message)
    return this.#chance(0.04)
  }

  #redeliver(): void {
    this.#isRedelivering = true
    for (const message of this.#late.splice(this.#dice.below(this.#late.length + 1))) this.cluster.deliverOne(message)
    this.#isRedelivering = false
  }

  step(): void {
    const { cluster } = this
    const node = this.#anyNode()
    const other = this.#anyNode()
    if (this.#chance(0.5)) cluster.propose(`${this.#proposed++}`.padEnd(40, '.'))
    if (this.#chance(0.04) && node.isUp) cluster.crash(node.id)
    if (this.#chance(0.15) && !node.isUp) this.#restart(node)
    if (this.#chance(0.05)) node.isDiskHeld = !node.isDiskHeld
    if (this.#chance(0.05) && node !== other) cluster.cutOneWay(node.id, other.id)
    if (this.#chance(0.05)) cluster.heal()
    if (this.#chance(0.03) && node.isUp && node !== other) node.core.peerDown(other.id)
    if (this.#chance(0.03) && node.isUp && node !== other) node.core.peerUp(other.id)
    if (this.#chance(0.1)) this.#redeliver()
    if (node.isUp) this.#keepHouse(node)
    this.nemesis.step()
    // Sometimes a part of the work is done, in any order, sometimes all of it.
    if (this.#chance(0.5) && node.isUp) cluster.carryOut(node.id)
    if (this.#chance(0.3) && node.isUp) cluster.sync(node.id)
    if (this.#chance(0.3)) cluster.deliver()
    if (this.#chance(0.5)) cluster.tick()
    cluster.checkLogs()
    for (const each of cluster.nodes.values()) for (const text of each.appliedTexts) this.seenApplied.add(text)
  }

  /** Checkpoints, compaction and installs, each step of them at another time. */
  #keepHouse(node: TestNode): void {
    const { cluster } = this
    const { checkpointIndex, firstIndex, appliedIndex, persistedIndex } = node.status
    if (this.#chance(0.1)) cluster.checkpoint(node.id)
    // Mostly all of it, so that laggards need an install, and sometimes a little.
    const forgets = this.#chance(0.7) ? checkpointIndex : Math.min(checkpointIndex, firstIndex)
    if (this.#chance(0.1) && forgets <= Math.min(appliedIndex, persistedIndex)) cluster.compact(node.id, forgets)
    if (this.#chance(0.1)) cluster.compactDisk(node.id, this.#chance(0.5) ? firstIndex - 1 : firstIndex - 3)
    if (this.#chance(0.2)) cluster.fetch(node.id)
    if (this.#chance(0.1)) this.#install(node)
    if (this.#chance(0.1)) node.isReadHeld = !node.isReadHeld
    if (this.#chance(0.2)) cluster.load(node.id)
  }

  #install(node: TestNode): void {
    const { commitIndex, lastIndex } = node.status
    if (!this.cluster.install(node.id)) return
    this.installs++
    if (lastIndex > commitIndex) this.tailsLost++
  }

  #restart(node: TestNode): void {
    const mark = node.checkpoint?.mark
    if (mark !== undefined && !node.holds(mark.index, mark.term)) this.interrupted++
    this.cluster.restart(node.id)
  }

  heal(): void {
    const { cluster } = this
    cluster.drop = () => false
    cluster.heal()
    for (const node of cluster.nodes.values()) {
      node.isDiskHeld = false
      node.isReadHeld = false
      if (!node.isUp) this.#restart(node)
      cluster.load(node.id)
    }
    cluster.settle()
    // Elections that were under way come to their end before the last entry is proposed.
    this.#passInstalling(50)
    cluster.elect()
    // Emptied directories are taken up again, one after another.
    this.#passInstalling(100)
    cluster.elect()
    cluster.propose('the end')
    this.#passInstalling(50)
  }

  #passInstalling(ticks: number): void {
    const { cluster } = this
    for (let tick = 0; tick < ticks; tick++) {
      cluster.tick()
      this.nemesis.mend()
      for (const { id } of cluster.nodes.values()) {
        cluster.fetch(id)
        this.#install(cluster.node(id))
      }
    }
  }
}

test(`${SEEDS} random histories: nothing applied is lost, and the healed cluster agrees and goes on`, () => {
  let applied = 0
  let elections = 0
  let installs = 0
  let tailsLost = 0
  let interrupted = 0
  const moves: Record<string, number> = {}
  for (let seed = 1; seed <= SEEDS; seed++) {
    const chaos = new Chaos(seed)
    try {
      chaos.cluster.elect()
      for (let step = 0; step < STEPS; step++) chaos.step()
      chaos.heal()
      const [first, ...others] = chaos.nemesis.members().map((node) => node.appliedTexts)
      expect(first!.at(-1)).toBe('the end')
      for (const other of others) expect(other).toEqual(first)
      expect(new Set(first).size).toBe(first!.length)
      expect(first).toEqual(expect.arrayContaining([...chaos.seenApplied]))
      const memberships = chaos.cluster.committedOf(EntryType.membership).map(({ data }) => decodeMembership(data))
      for (const [at, each] of memberships.slice(1).entries()) {
        if (!doQuorumsMeet(memberships[at]!, each))
          throw new Error('two quorums of neighbouring memberships are disjoint')
      }
      for (const [move, count] of Object.entries(chaos.nemesis.moves)) moves[move] = (moves[move] ?? 0) + count
      for (const { status } of chaos.nemesis.members()) expect(status).toMatchObject({ doubt: 0, isMember: true })
      applied += chaos.seenApplied.size
      elections += chaos.cluster.leader!.status.term
      installs += chaos.installs
      tailsLost += chaos.tailsLost
      interrupted += chaos.interrupted
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error })
    }
  }
  // The faults were real, and the cluster worked in spite of them.
  expect(elections).toBeGreaterThan(3 * SEEDS)
  expect(applied).toBeGreaterThan(20 * SEEDS)
  expect(installs).toBeGreaterThan(SEEDS / 2)
  expect(tailsLost).toBeGreaterThan(0)
  expect(interrupted).toBeGreaterThan(0)
  for (const [move, count] of Object.entries(moves)) expect(count, move).toBeGreaterThan(SEEDS / 2)
})
