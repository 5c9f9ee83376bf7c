/**
 * What kind of run a seed is: each draws its own few faults with their own rates, and its own mix of work (swarm testing; see
 * test/sim/swarm.ts).
 *
 * Never: anything drawn later than here, other than when and whom something strikes.
 */
import { type DiskPace, fastDisk } from '../sim/swarm.ts'
import type { Random } from '../support/random.ts'
import type { Weather } from './network.ts'

/** Faults that begin at random times and last for a while. */
export const faultKinds = [
  'isolateOne',
  'isolateLeader',
  'halves',
  'oneWay',
  'breakPeers',
  'breakClient',
  'cutClient',
  'storm',
  'crashOne',
  'crashLeader',
  'crashAll',
  'powerLoss',
  'pauseOne',
  'pauseLeader',
  'stopOne',
  'rollingRestart',
  'slowDisk',
  'diskError',
  'wallJump',
  'wipeOne',
  'damageOne',
  'rotLive',
  'fillDisk',
  'removeOne',
  'transfer',
  'crashClient',
  'pauseClient',
] as const
export type FaultKind = (typeof faultKinds)[number]

export interface Fault {
  readonly kind: FaultKind
  /** Mean pause between two such faults. */
  readonly everyMs: number
  /** Mean time that one lasts. */
  readonly lastsMs: number
}

/** Chances that a node is struck at its most delicate moments. */
export interface Ambush {
  readonly toldVote: number
  readonly writing: number
  readonly elected: number
  readonly acknowledged: number
}

/** What is looked at in the quiet after the faults. */
export const finaleKinds = ['calm', 'rejoin', 'deadLeader', 'abandon', 'reconnect', 'bereave', 'leapfrog'] as const
export type FinaleKind = (typeof finaleKinds)[number]

export interface Work {
  readonly publishers: number
  readonly publishesPerSecond: number
  /** Publishes of one moment. */
  readonly burstMax: number
  readonly bodyBytesMax: number
  readonly publishTimeoutMs: number
  /** Patterns of each queue that lives through the whole run. */
  readonly queues: readonly (readonly string[])[]
  readonly consumersPerQueue: number
  readonly prefetch: number
  readonly visibilityTimeoutMs: number
  readonly handleMsMax: number
  readonly nackChance: number
  readonly nackDelayMsMax: number
  readonly rejectChance: number
  /** Chance that a consumer settles too late: the message has gone back when its visibility was over. */
  readonly lateChance: number
  readonly exclusives: number
  readonly requesters: number
  readonly requestsPerSecond: number
  readonly admins: number
  /** Clients that ask a queue for messages now and then. */
  readonly receiversPerQueue: number
}

export interface Swarm {
  readonly nodes: number
  /** In some runs already the founding and the declarations are troubled. */
  readonly foundedInPeace: boolean
  readonly faultMs: number
  readonly weather: Weather
  readonly disk: DiskPace
  readonly faults: readonly Fault[]
  readonly ambush: Ambush
  readonly downMs: readonly [low: number, high: number]
  readonly tickMs: number
  readonly nodeGraceMs: number
  readonly sessionLeaseMs: number
  readonly detachGraceMs: number
  readonly leaderlessCloseMs: number
  readonly cacheBytesMax: number
  readonly segmentBytes: number
  readonly checkpointBytes: number
  readonly trailingLogBytesMax: number
  readonly clockSkew: number
  readonly work: Work
  readonly finale: FinaleKind
}

/** Topics of all publishers. */
export const topics = ['a.x', 'a.y', 'b.x', 'c'] as const

/** Without these a finale would take long, or show nothing. */
const finaleNeeds: Readonly<Record<FinaleKind, (swarm: Swarm) => Partial<Swarm>>> = {
  calm: () => ({}),
  rejoin: () => ({}),
  deadLeader: () => ({}),
  abandon: () => ({ sessionLeaseMs: 3_000 }),
  reconnect: () => ({ detachGraceMs: 1_000 }),
  bereave: ({ work }) => ({ sessionLeaseMs: 60_000, work: { ...work, visibilityTimeoutMs: 30_000, lateChance: 0 } }),
  leapfrog: ({ work }) => ({
    checkpointBytes: 4_096,
    trailingLogBytesMax: 0,
    leaderlessCloseMs: 5_000,
    work: { ...work, publishTimeoutMs: 30_000 },
  }),
}

export function drawSwarm(random: Random): Swarm {
  const drawn = drawAny(random)
  const swarm = { ...drawn, work: { ...drawn.work, receiversPerQueue: random.pick([0, 0, 1]) } }
  return { ...swarm, ...finaleNeeds[swarm.finale](swarm) }
}

function drawAny(random: Random): Swarm {
  const work = drawWork(random)
  const nodes = random.chance(0.03) ? 1 : random.pick([3, 3, 3, 5])
  // Now and then nothing happens at all: then nothing may happen to the leader either.
  const isPeaceful = random.chance(0.04)
  const noAmbush: Ambush = { toldVote: 0, writing: 0, elected: 0, acknowledged: 0 }
  return {
    nodes,
    foundedInPeace: random.chance(0.85) || isPeaceful,
    faultMs: random.between(6_000, 16_000),
    weather: drawWeather(random),
    disk: drawDisk(random),
    faults: isPeaceful ? [] : drawFaults(random),
    ambush: isPeaceful ? noAmbush : drawAmbush(random),
    downMs: random.pick([[5, 50] as const, [50, 600] as const, [500, 4000] as const]),
    tickMs: 50,
    nodeGraceMs: random.pick([500, 2_000, 10_000]),
    sessionLeaseMs: random.pick([3_000, 60_000, 60_000]),
    detachGraceMs: random.pick([0, 100, 1_000]),
    leaderlessCloseMs: random.pick([1_000, 5_000]),
    cacheBytesMax: random.pick([0, 2_000, 64 * 1024 * 1024]),
    // As small as it may be: an entry fits into a segment, and holds up to 256 KiB of frames where messages are large.
    segmentBytes: (work.bodyBytesMax > 200 ? 320 : 96) * 1024,
    checkpointBytes: random.pick([4_096, 20_000, 100_000, 64 * 1024 * 1024]),
    trailingLogBytesMax: random.pick([0, 10_000, 256 * 1024 * 1024]),
    clockSkew: random.pick([0, 0.001, 0.05]),
    work,
    finale: nodes === 1 ? 'calm' : random.pick(finaleKinds),
  }
}

function drawWork(random: Random): Work {
  const lateChance = random.pick([0, 0, 0.03])
  const allQueues = [['a.*'], ['#'], ['b.x', 'c'], ['a.x', 'b.*']] as const
  return {
    publishers: random.pick([1, 2, 3]),
    publishesPerSecond: random.pick([1, 3, 8]),
    burstMax: random.pick([1, 3, 12]),
    bodyBytesMax: random.pick([8, 200, 3_000]),
    publishTimeoutMs: random.pick([800, 5_000, 30_000]),
    queues: random.shuffled(allQueues).slice(0, random.pick([1, 2, 3])),
    consumersPerQueue: random.pick([1, 1, 2]),
    prefetch: random.pick([1, 5, 100]),
    visibilityTimeoutMs: random.pick(lateChance > 0 ? [700, 3_000] : [700, 3_000, 30_000]),
    handleMsMax: random.pick([0, 20, 400]),
    nackChance: random.pick([0, 0, 0.1]),
    nackDelayMsMax: random.pick([0, 300, 2_000]),
    rejectChance: random.pick([0, 0, 0.05]),
    lateChance,
    exclusives: random.pick([0, 0, 1]),
    requesters: random.pick([0, 0, 1, 2]),
    requestsPerSecond: random.pick([1, 5]),
    admins: random.pick([0, 0, 1]),
    receiversPerQueue: 0,
  }
}

function drawWeather(random: Random): Weather {
  const low = random.pick([0.05, 0.3, 2])
  return {
    delayMs: [low, low * random.pick([1.5, 5, 20])],
    spikeChance: random.pick([0, 0, 0.005, 0.05]),
    spikeMs: random.pick([20, 300]),
  }
}

function drawDisk(random: Random): DiskPace {
  if (random.chance(0.3)) return fastDisk
  const low = random.pick([0.05, 0.3, 2])
  return {
    syncMs: [low, low * random.pick([2, 10])],
    stallChance: random.pick([0, 0, 0.01]),
    stallMs: random.pick([50, 500]),
  }
}

function drawFaults(random: Random): Fault[] {
  const wanted = random.below(5)
  const kinds = new Set<FaultKind>(random.shuffled(faultKinds).slice(0, wanted))
  if (wanted === 0 || random.chance(0.5)) kinds.add(random.pick(['isolateLeader', 'crashLeader', 'pauseLeader']))
  return [...kinds].map((kind) => {
    const everyMs = random.pick([800, 2_000, 5_000])
    // Never so long that one follows upon the other all the time: a cluster that never works has nothing to lose.
    return { kind, everyMs, lastsMs: everyMs * random.pick([0.02, 0.2, 0.5, 0.8]) }
  })
}

function drawAmbush(random: Random): Ambush {
  const rarely = () => random.pick([0, 0, 0.05, 0.2])
  return {
    toldVote: rarely(),
    writing: random.pick([0, 0, 0.002, 0.01]),
    elected: rarely(),
    acknowledged: random.pick([0, 0, 0.002, 0.01]),
  }
}
