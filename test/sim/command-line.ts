/**
 * What the simulators' command lines have in common. Exit code 0: all passed; 1: a seed failed, a floor was missed or a break went
 * unnoticed; 2: wrong usage.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { Command, InvalidArgumentError } from 'commander'
import type { PlantedBreak } from './breaks.ts'
import { bundle } from './bundle.ts'
import { runPool } from './pool.ts'
import { type Countable, describeFailure, Report } from './report.ts'
import { hunt, type Verdict } from './selftest.ts'

const failuresShownMax = 3

/** One of the simulators. */
export interface Simulator<R extends Countable & { readonly traceHash: string }> {
  /** Under which npm runs it. */
  readonly script: string
  readonly runSeed: (seed: number, options?: { readonly print?: (line: string) => void }) => Promise<R>
  readonly floors: Partial<Record<keyof R['counts'], number>>
  /** Serves its seeds, in a process of its own. */
  readonly worker: string
  readonly breaks: readonly PlantedBreak[]
  /** File that names, for each break, the seed that found it last. */
  readonly witnesses: string
  /** Seeds that may pass before a break counts as unnoticed. */
  readonly selftestSeeds: number
}

interface Typed {
  readonly seeds?: number
  readonly seed?: number
  readonly workers: number
  readonly floors?: boolean
  readonly selftest?: boolean
  readonly only?: string
  readonly renew?: boolean
  readonly trace?: boolean
}

interface Settings {
  readonly firstSeed: number
  readonly seeds: number
  readonly workers: number
  readonly floors: boolean
  readonly trace: boolean
}

/** Does what the arguments of this process say, and sets its exit code. */
export function runCommandLine<R extends Countable & { readonly traceHash: string }>(simulator: Simulator<R>): void {
  new CommandLine(simulator).run().then(
    (code) => {
      process.exitCode = code
    },
    (error: unknown) => {
      console.error(error)
      process.exitCode = 1
    },
  )
}

class CommandLine<R extends Countable & { readonly traceHash: string }> {
  readonly #simulator: Simulator<R>

  constructor(simulator: Simulator<R>) {
    this.#simulator = simulator
  }

  async run(): Promise<number> {
    const typed = typedOf(this.#simulator.script)
    if (typed.selftest === true) return this.#selftest(typed)
    const { seed = 1, seeds = typed.seed === undefined ? 100 : 1, workers, floors = false, trace = false } = typed
    const settings = { firstSeed: seed, seeds, workers, floors, trace }
    return seeds === 1 ? this.#simulateOne(settings) : this.#simulateMany(settings)
  }

  async #simulateOne({ firstSeed, trace }: Settings): Promise<number> {
    const began = performance.now()
    const { floors, runSeed, script } = this.#simulator
    const result = await runSeed(firstSeed, trace ? { print: (line) => console.log(line) } : {})
    const report = new Report<R>(floors)
    report.add(result)
    console.log(describeFailure(result, script))
    console.log(report.lines((performance.now() - began) / 1000).join('\n'))
    console.log(`trace hash ${result.traceHash}`)
    return result.failure === undefined ? 0 : 1
  }

  async #simulateMany({ firstSeed, seeds, workers, floors }: Settings): Promise<number> {
    const began = performance.now()
    const { floors: least, script, worker } = this.#simulator
    const report = new Report<R>(least)
    const onResult = (result: R) => {
      report.add(result)
      if (result.failure !== undefined && report.failures.length <= failuresShownMax)
        console.log(describeFailure(result, script))
      return true
    }
    const { file, remove } = await bundle(worker)
    try {
      await runPool<R>({ seeds: rising(firstSeed, seeds), workers, file, onResult })
    } finally {
      remove()
    }
    console.log(report.lines((performance.now() - began) / 1000).join('\n'))
    const missed = floors ? report.missedFloors() : []
    for (const line of missed) console.log(`too little happened: ${line}`)
    const { failures } = report
    if (failures.length > 0) console.log(`failed seeds: ${failures.map(({ seed }) => seed).join(' ')}`)
    return failures.length === 0 && missed.length === 0 ? 0 : 1
  }

  /** Hunts all planted breaks, `workers` at a time; those that nobody is known to have found, and so may take long, first. */
  async #selftest({ workers, only, renew }: Typed): Promise<number> {
    const { breaks, selftestSeeds: seeds, witnesses, worker } = this.#simulator
    const witnessesFile = path.resolve(import.meta.dirname, '../..', witnesses)
    const known = JSON.parse(readFileSync(witnessesFile, 'utf8')) as Record<string, number>
    const wanted = breaks.filter(({ name }) => only === undefined || name.includes(only))
    const waiting = wanted.toSorted((a, b) => Number(a.name in known) - Number(b.name in known))
    const verdicts: Verdict[] = []
    const huntNext = async (): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const witness = known[next.name]
        const verdict = await hunt(next, { seeds, worker, witness })
        verdicts.push(verdict)
        console.log(describeVerdict(verdict, seeds, witness))
      }
    }
    await Promise.all(Array.from({ length: workers }, huntNext))
    if (renew === true) writeFileSync(witnessesFile, `${JSON.stringify(renewed(breaks, known, verdicts), null, 2)}\n`)
    const found = verdicts.filter((verdict) => verdict.found !== undefined).length
    console.log(`${found} of ${wanted.length} planted breaks found`)
    return found === wanted.length ? 0 : 1
  }
}

/** Who found which break, now or before. */
function renewed(breaks: readonly PlantedBreak[], known: Record<string, number>, verdicts: readonly Verdict[]) {
  const seeds = new Map(Object.entries(known))
  for (const { planted, found } of verdicts) if (found !== undefined) seeds.set(planted.name, found.seed)
  return Object.fromEntries(breaks.flatMap(({ name }) => (seeds.has(name) ? [[name, seeds.get(name)]] : [])))
}

function* rising(first: number, count: number): IterableIterator<number> {
  for (let seed = first; seed < first + count; seed++) yield seed
}

/** What was typed; ends the process at --help and at wrong usage, having said why. */
function typedOf(script: string): Typed {
  return new Command(`npm run ${script} --`)
    .description('Simulates clusters under faults, and judges what came of each.')
    .option('--seeds <n>', 'how many (default: 100, or 1 with --seed)', count)
    .option('--seed <n>', 'the first, or the only one (default: 1)', count)
    .option('--workers <n>', 'processes', count, os.availableParallelism())
    .option('--floors', 'fail when too little happened')
    .option('--selftest', 'hunt the planted breaks')
    .option('--only <text>', 'with --selftest: those whose names hold it')
    .option('--renew', 'with --selftest: remember which seeds found them')
    .option('--trace', 'with one seed: print every step')
    .allowExcessArguments(false)
    .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))
    .parse()
    .opts<Typed>()
}

function count(text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('A whole number from 1 on is expected.')
  return value
}

function describeVerdict({ planted, found, seconds }: Verdict, seeds: number, witness: number | undefined): string {
  const time = `${seconds.toFixed(1).padStart(5)} s`
  if (found === undefined) return `NOT FOUND    ${time}  ${planted.name}: ${seeds} seeds passed`
  const late =
    witness === undefined || witness === found.seed ? '' : `; its witness ${witness} shows it no more (--renew)`
  return `found ${String(found.seed).padStart(5)}  ${time}  ${planted.name}: ${found.failure.invariant}${late}`
}
