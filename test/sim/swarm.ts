/**
 * What kind of run a seed is. Each seed draws its own few faults with their own rates, since a run with all faults at once
 * visits the same middling trouble again and again, while rare combinations of few faults lead far out (swarm testing).
 *
 * Never: anything drawn later than here, other than when and whom a fault strikes.
 */
import type { Random } from '../support/random.ts'
import type { Weather } from './network.ts'

/** Faults that begin at random times and last for a while. */
export const faultKinds = [
  'isolateOne',
  'isolateLeader',
  'halves',
  'oneWay',
  'mute',
  'deafen',
  'bridge',
  'reset',
  'storm',
  'crashOne',
  'crashLeader',
  'crashMany',
  'crashAll',
  'pauseOne',
  'pauseLeader',
  'stopOne',
  'slowDisk',
  'diskError',
  'falseRefusal',
  'wipeOne',
] as const
export type FaultKind = (typeof faultKinds)[number]

export interface Fault {
  readonly kind: FaultKind
  /** Mean pause between two such faults. */
  readonly everyMs: number
  /** Mean time that one lasts. */
  readonly lastsMs: number
}

/** Chances that a node is struck at its most delicate moments: it dies, or all its links are cut for a while. */
export interface Ambush {
  /** Right after it has told a vote. */
  readonly toldVote: number
  /** While a write is on its way to the disk. */
  readonly writing: number
  /** Right after it was elected: its first entry is written and sent, and has not arrived yet. */
  readonly elected: number
  /** A leader, right after the first commit of its term. */
  readonly firstCommit: number
  /** A leader, right after any other commit. */
  readonly committed: number
  /** Chance that the node is cut off rather than killed. */
  readonly cutOff: number
  readonly cutOffMs: number
}

export interface DiskPace {
  /** One synced write takes this long. */
  readonly syncMs: readonly [low: number, high: number]
  readonly stallChance: number
  readonly stallMs: number
}

export const fastDisk: DiskPace = { syncMs: [0.1, 0.4], stallChance: 0, stallMs: 0 }

/** What is looked at in the quiet after the faults. */
export const finaleKinds = ['none', 'rejoin', 'deafFollower', 'isolatedLeader', 'deadLeader'] as const
export type FinaleKind = (typeof finaleKinds)[number]

export interface Swarm {
  readonly nodes: number
  /** In some runs already the founding of the cluster is troubled. */
  readonly foundedInPeace: boolean
  /** How long faults go on. */
  readonly faultMs: number
  readonly weather: Weather
  readonly disk: DiskPace
  readonly faults: readonly Fault[]
  readonly ambush: Ambush
  /** Downtime of a crashed process. */
  readonly downMs: readonly [low: number, high: number]
  readonly proposalsPerSecond: number
  /** Proposals of one moment. */
  readonly burstMax: number
  readonly commandBytesMax: number
  readonly readsPerSecond: number
  /** Small ones make appends, windows, caches and segments end in the middle of everything. */
  readonly appendBytesMax: number
  readonly inflightBytesMax: number
  readonly cacheBytesMax: number
  readonly segmentBytes: number
  readonly clockSkew: number
  /** Mean pause between two checkpoints of a member, which then forgets its log; 0: it makes none. */
  readonly checkpointEveryMs: number
  readonly finale: FinaleKind
}

export function drawSwarm(random: Random): Swarm {
  const nodes = random.chance(0.04) ? 1 : random.pick([3, 3, 5])
  return {
    nodes,
    foundedInPeace: random.chance(0.9),
    faultMs: random.between(15_000, 22_000),
    weather: drawWeather(random),
    disk: drawDisk(random),
    faults: drawFaults(random),
    ambush: drawAmbush(random),
    downMs: random.pick([[1, 30] as const, [20, 400] as const, [200, 3000] as const]),
    proposalsPerSecond: random.pick([2, 5, 15]),
    burstMax: random.pick([1, 2, 8]),
    commandBytesMax: random.pick([8, 64, 600]),
    readsPerSecond: random.pick([0, 2, 10]),
    appendBytesMax: random.pick([1, 150, 1000, 256 * 1024]),
    inflightBytesMax: random.pick([200, 2000, 4 * 1024 * 1024]),
    cacheBytesMax: random.pick([500, 5000, 64 * 1024 * 1024]),
    segmentBytes: random.pick([8, 16, 64, 256]) * 1024,
    clockSkew: random.pick([0, 0.001, 0.05]),
    checkpointEveryMs: random.pick([0, 300, 1500, 6000]),
    finale: nodes === 1 ? 'none' : random.pick(finaleKinds),
  }
}

function drawWeather(random: Random): Weather {
  const low = random.pick([0.05, 0.3, 2])
  return {
    delayMs: [low, low * random.pick([1.5, 5, 20])],
    spikeChance: random.pick([0, 0, 0.01, 0.1]),
    spikeMs: random.pick([20, 300, 3000]),
    dropChance: random.pick([0, 0, 0.01, 0.05, 0.2]),
    duplicateChance: random.pick([0, 0, 0.02, 0.2]),
    ordered: random.chance(0.5),
  }
}

function drawDisk(random: Random): DiskPace {
  const low = random.pick([0.05, 0.3, 2])
  return {
    syncMs: [low, low * random.pick([2, 10])],
    stallChance: random.pick([0, 0, 0.01, 0.05]),
    stallMs: random.pick([50, 500]),
  }
}

function drawFaults(random: Random): Fault[] {
  const wanted = random.below(4)
  const kinds = new Set<FaultKind>(random.shuffled(faultKinds).slice(0, wanted))
  // Most of what can go wrong goes wrong around elections, and those begin with a leader in trouble.
  if (wanted === 0 || random.chance(0.7)) kinds.add(random.pick(['isolateLeader', 'crashLeader', 'pauseLeader']))
  return [...kinds].map((kind) => {
    const everyMs = random.pick([600, 1500, 4000])
    // Never so long that one follows upon the other all the time: a cluster that never works has nothing to lose.
    return { kind, everyMs, lastsMs: everyMs * random.pick([0.02, 0.2, 0.5, 0.8]) }
  })
}

function drawAmbush(random: Random): Ambush {
  const rarely = () => random.pick([0, 0.05, 0.3])
  return {
    toldVote: rarely(),
    writing: random.pick([0, 0, 0.002, 0.02]),
    elected: rarely(),
    firstCommit: rarely(),
    committed: random.pick([0, 0, 0, 0.002, 0.02]),
    cutOff: random.pick([0, 0.5, 0.5, 1]),
    cutOffMs: random.pick([30, 700, 2500]),
  }
}
