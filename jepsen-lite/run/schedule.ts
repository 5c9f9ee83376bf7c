/**
 * Which faults come when: drawn from the seed alone before the start, so that a seed can be run again. Faults come in episodes with quiet
 * times between them, in which the cluster must show that it comes back; in an episode several faults of different nemeses may overlap.
 * A quiet time at the beginning shows that the cluster works at all, one at the end that it is well before the heal.
 */
import type { Fault, Nemesis } from '../nemesis.ts'
import type { Random } from '../random.ts'
import type { PlannedFault } from './result.ts'

export interface ScheduledFault extends PlannedFault {
  readonly fault: Fault
}

/** Of the whole: without faults at the beginning and at the end, and at most so long, milliseconds. */
const QUIET_SHARE = 0.12
const QUIET_EDGE_MS_MAX = 5_000
/** Between two episodes. */
const QUIET_MS_MIN = 700
const QUIET_MS_MAX = 4_000
/** How likely an episode has one fault more, again and again. */
const OVERLAP_CHANCE = 0.4
const OVERLAP_MAX = 4
/** A fault that would begin so shortly before the end, or be cut to less, is left out. */
const SHORTEST_MS = 500

export function planSchedule(
  random: Random,
  nemeses: readonly Nemesis[],
  nodes: readonly string[],
  durationMs: number,
): ScheduledFault[] {
  if (nemeses.length === 0) return []
  const edgeMs = Math.min(durationMs * QUIET_SHARE, QUIET_EDGE_MS_MAX)
  const endMs = durationMs - edgeMs
  const turns = new Turns(nemeses, random.fork('turns'))
  const dice = random.fork('episodes')
  const planned: ScheduledFault[] = []
  let atMs = edgeMs
  while (atMs < endMs - SHORTEST_MS) {
    let episodeEndMs = atMs
    let beginMs = atMs
    const inEpisode = new Set<Nemesis>()
    for (const nemesis of turns.take(sizeOf(dice, nemeses.length))) {
      // Two nemeses of one episode differ: a fault on top of itself is one that lasts longer.
      if (inEpisode.has(nemesis)) continue
      inEpisode.add(nemesis)
      if (beginMs >= endMs - SHORTEST_MS) break
      const fault = nemesis.draw(random.fork(`fault/${planned.length}`), nodes)
      const holdMs = Math.min(fault.holdMs, Math.floor(endMs - beginMs))
      const at = Math.round(beginMs)
      planned.push({ number: planned.length, atMs: at, holdMs, nemesis: nemesis.name, name: fault.name, fault })
      episodeEndMs = Math.max(episodeEndMs, beginMs + holdMs)
      // The next one begins somewhere in this one, its very beginning included.
      beginMs += dice.next() * holdMs
    }
    atMs = episodeEndMs + dice.between(QUIET_MS_MIN, QUIET_MS_MAX)
  }
  return planned
}

function sizeOf(dice: Random, nemeses: number): number {
  let size = 1
  while (size < Math.min(nemeses, OVERLAP_MAX) && dice.chance(OVERLAP_CHANCE)) size++
  return size
}

/** Nemeses in random order, each once before any comes again: a run is long enough for its mix when it has had them all. */
class Turns {
  readonly #nemeses: readonly Nemesis[]
  readonly #random: Random
  #left: Nemesis[] = []

  constructor(nemeses: readonly Nemesis[], random: Random) {
    this.#nemeses = nemeses
    this.#random = random
  }

  take(count: number): Nemesis[] {
    const taken: Nemesis[] = []
    while (taken.length < count) {
      if (this.#left.length === 0) this.#left = this.#random.shuffle(this.#nemeses)
      taken.push(this.#left.pop() as Nemesis)
    }
    return taken
  }
}
