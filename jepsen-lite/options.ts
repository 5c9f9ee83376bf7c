/**
 * What a run can be told, with every default, checked before anything is started. Whoever calls it wrongly is told in one sentence
 * (UsageError).
 */
import type { Nemesis } from './nemesis.ts'
import { type Random, seeded } from './random.ts'
import type { RunSettings } from './run/result.ts'
import type { Workload } from './workload.ts'

export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** As it was typed; what is undefined was not. */
export interface GivenOptions {
  readonly workload: string
  /** Names separated by commas; `all`: whatever this machine can do; `mix`: some of those, drawn from the seed; `none`. */
  readonly nemesis: string
  readonly seconds: number
  readonly seed: number
  readonly nodes: number
  readonly concurrency?: number
  readonly rate?: number
  readonly bin: string
  readonly nodeOptions: Readonly<Record<string, unknown>>
}

export interface Catalogue {
  readonly workloads: readonly Workload[]
  readonly nemeses: readonly Nemesis[]
}

/** A run as it was asked for: settings, and what they name. */
export interface RunOptions {
  readonly settings: RunSettings
  readonly workload: Workload
  readonly nemeses: readonly Nemesis[]
}

/** Nemeses of a mix: few enough that each has several turns in a minute. */
const MIX_MIN = 2
const MIX_MAX = 4

export const defaults = { workload: 'queue', nemesis: 'kill,partition', seconds: 60, nodes: 3 } as const

/** Rejects with UsageError: a name that is none, a nemesis that this machine cannot do. */
export async function runOptionsOf(given: GivenOptions, { workloads, nemeses }: Catalogue): Promise<RunOptions> {
  const workload = workloads.find(({ name }) => name === given.workload)
  if (workload === undefined) throw new UsageError(`there is no workload '${given.workload}': see --list`)
  const chosen = await chooseNemeses(given.nemesis, nemeses, seeded(given.seed, 'mix'))
  const { seconds, seed, nodes, bin, nodeOptions } = given
  const settings: RunSettings = {
    workload: workload.name,
    nemeses: chosen.map(({ name }) => name),
    seconds,
    seed,
    nodes,
    concurrency: given.concurrency ?? workload.concurrency,
    rate: given.rate ?? workload.rate,
    bin,
    nodeOptions,
  }
  return { settings, workload, nemeses: chosen }
}

async function chooseNemeses(names: string, nemeses: readonly Nemesis[], random: Random): Promise<Nemesis[]> {
  if (names === 'none') return []
  if (names === 'all') return availableOf(nemeses)
  if (names === 'mix') return random.shuffle(await availableOf(nemeses)).slice(0, random.between(MIX_MIN, MIX_MAX))
  const chosen: Nemesis[] = []
  for (const name of new Set(names.split(',').map((each) => each.trim()))) {
    const nemesis = nemeses.find((each) => each.name === name)
    if (nemesis === undefined) throw new UsageError(`there is no nemesis '${name}': see --list`)
    const why = await nemesis.unavailable?.()
    if (why !== undefined) throw new UsageError(`${name} cannot be done here: ${why}`)
    chosen.push(nemesis)
  }
  return chosen
}

async function availableOf(nemeses: readonly Nemesis[]): Promise<Nemesis[]> {
  const why = await Promise.all(nemeses.map((nemesis) => nemesis.unavailable?.()))
  return nemeses.filter((_, i) => why[i] === undefined)
}
