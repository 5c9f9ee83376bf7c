/**
 * What a run can be told, with every default, checked before anything is started. Whoever calls it wrongly is told in one sentence
 * (UsageError).
 */
import { networks as allNetworks, type NetworkKind } from './cluster/networks.ts'
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
  /** Default: proxies. */
  readonly network?: string
  readonly nodeOptions: Readonly<Record<string, unknown>>
}

export interface Catalogue {
  readonly workloads: readonly Workload[]
  readonly nemeses: readonly Nemesis[]
  /** Default: all that there are. */
  readonly networks?: readonly NetworkKind[]
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

export const defaults = {
  workload: 'queue',
  nemesis: 'kill,partition',
  seconds: 60,
  nodes: 3,
  network: 'proxies',
} as const

/** Rejects with UsageError: a name that is none, a network or a nemesis that this machine cannot do. */
export async function runOptionsOf(given: GivenOptions, catalogue: Catalogue): Promise<RunOptions> {
  const { workloads, nemeses, networks = allNetworks } = catalogue
  const workload = workloads.find(({ name }) => name === given.workload)
  if (workload === undefined) throw new UsageError(`there is no workload '${given.workload}': see --list`)
  const network = await chooseNetwork(given.network ?? defaults.network, networks)
  const why = (nemesis: Nemesis) => whyNot(nemesis, network)
  const chosen =
    given.nemesis === 'mix'
      ? drawMix(await availableOf(nemeses, why), workload, seeded(given.seed, 'mix'))
      : await chooseNemeses(given.nemesis, nemeses, why)
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
    network: network.name,
    nodeOptions,
  }
  return { settings, workload, nemeses: chosen }
}

/** Why it cannot be done on this machine and in this network, or undefined. */
export async function whyNot(nemesis: Nemesis, network: NetworkKind): Promise<string | undefined> {
  for (const impairment of nemesis.impairments ?? []) {
    const why = network.cannot(impairment)
    if (why !== undefined) return why
  }
  return nemesis.unavailable?.()
}

/** Throws UsageError when there is none of that name. */
export function networkNamed(name: string, networks = allNetworks): NetworkKind {
  const network = networks.find((each) => each.name === name)
  if (network === undefined) throw new UsageError(`there is no network '${name}': see --list`)
  return network
}

async function chooseNetwork(name: string, networks: readonly NetworkKind[]): Promise<NetworkKind> {
  const network = networkNamed(name, networks)
  const why = await network.unavailable()
  if (why !== undefined) throw new UsageError(`the network ${name} cannot be had here: ${why}`)
  return network
}

type Why = (nemesis: Nemesis) => Promise<string | undefined>

function drawMix(nemeses: readonly Nemesis[], { immuneTo = [] }: Workload, random: Random): Nemesis[] {
  const fit = nemeses.filter(({ name }) => !immuneTo.includes(name))
  return random.shuffle(fit).slice(0, random.between(MIX_MIN, MIX_MAX))
}

async function chooseNemeses(names: string, nemeses: readonly Nemesis[], why: Why): Promise<Nemesis[]> {
  if (names === 'none') return []
  if (names === 'all') return availableOf(nemeses, why)
  const chosen: Nemesis[] = []
  for (const name of new Set(names.split(',').map((each) => each.trim()))) {
    const nemesis = nemeses.find((each) => each.name === name)
    if (nemesis === undefined) throw new UsageError(`there is no nemesis '${name}': see --list`)
    const reason = await why(nemesis)
    if (reason !== undefined) throw new UsageError(`${name} cannot be done here: ${reason}`)
    chosen.push(nemesis)
  }
  return chosen
}

async function availableOf(nemeses: readonly Nemesis[], why: Why): Promise<Nemesis[]> {
  const reasons = await Promise.all(nemeses.map(why))
  return nemeses.filter((_, i) => reasons[i] === undefined)
}
