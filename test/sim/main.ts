/**
 * `npm run sim`: the simulator's command line.
 *
 *     --seeds N      how many seeds (100)       --seed S      the first, or the only one
 *     --workers W    processes (one per core)   --floors      fail when too little happened
 *     --selftest     hunt the planted breaks    --only TEXT   those whose names hold it
 *     --trace        with one seed: print every step
 *
 * Exit code 0: all passed; 1: a seed failed, a floor was missed or a break went unnoticed; 2: wrong usage.
 */
import os from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { breaks } from './breaks.ts'
import { runPool } from './pool.ts'
import { describeFailure, Report } from './report.ts'
import { runSeed } from './run.ts'
import { hunt, type Verdict } from './selftest.ts'

const failuresShownMax = 3
const selftestSeeds = 1000

interface Settings {
  readonly firstSeed: number
  readonly seeds: number
  readonly workers: number
  readonly floors: boolean
  readonly trace: boolean
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string' },
      seed: { type: 'string' },
      workers: { type: 'string' },
      floors: { type: 'boolean', default: false },
      selftest: { type: 'boolean', default: false },
      only: { type: 'string' },
      trace: { type: 'boolean', default: false },
    },
  })
  const workers = count('workers', values.workers) ?? os.availableParallelism()
  if (values.selftest) return selftest(workers, values.only)
  const firstSeed = count('seed', values.seed)
  const seeds = count('seeds', values.seeds) ?? (firstSeed === undefined ? 100 : 1)
  const settings = { firstSeed: firstSeed ?? 1, seeds, workers, floors: values.floors, trace: values.trace }
  return seeds === 1 ? simulateOne(settings) : simulateMany(settings)
}

function count(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1)
    throw new TypeError(`--${name} takes a whole number from 1 on, not '${text}'`)
  return value
}

async function simulateOne({ firstSeed, trace }: Settings): Promise<number> {
  const began = performance.now()
  const result = await runSeed(firstSeed, trace ? { print: (line) => console.log(line) } : {})
  const report = new Report()
  report.add(result)
  console.log(describeFailure(result))
  console.log(report.lines((performance.now() - began) / 1000).join('\n'))
  console.log(`trace hash ${result.traceHash}`)
  return result.failure === undefined ? 0 : 1
}

async function simulateMany({ firstSeed, seeds, workers, floors }: Settings): Promise<number> {
  const began = performance.now()
  const report = new Report()
  await runPool({
    firstSeed,
    seeds,
    workers,
    root: path.resolve(import.meta.dirname, '../..'),
    onResult: (result) => {
      report.add(result)
      if (result.failure !== undefined && report.failures.length <= failuresShownMax)
        console.log(describeFailure(result))
      return true
    },
  })
  console.log(report.lines((performance.now() - began) / 1000).join('\n'))
  const missed = floors ? report.missedFloors() : []
  for (const line of missed) console.log(`too little happened: ${line}`)
  const { failures } = report
  if (failures.length > 0) console.log(`failed seeds: ${failures.map(({ seed }) => seed).join(' ')}`)
  return failures.length === 0 && missed.length === 0 ? 0 : 1
}

/** Hunts all planted breaks, `workers` at a time. */
async function selftest(workers: number, only: string | undefined): Promise<number> {
  const waiting = breaks.filter(({ name }) => only === undefined || name.includes(only))
  let unnoticed = 0
  const huntNext = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const verdict = await hunt(next, selftestSeeds)
      if (verdict.found === undefined) unnoticed++
      console.log(describeVerdict(verdict))
    }
  }
  const total = waiting.length
  await Promise.all(Array.from({ length: workers }, huntNext))
  console.log(`${total - unnoticed} of ${total} planted breaks found`)
  return unnoticed === 0 ? 0 : 1
}

function describeVerdict({ planted, found, seconds }: Verdict): string {
  const time = `${seconds.toFixed(1).padStart(5)} s`
  if (found === undefined) return `NOT FOUND    ${time}  ${planted.name}: ${selftestSeeds} seeds passed`
  return `found ${String(found.seed).padStart(5)}  ${time}  ${planted.name}: ${found.failure.invariant}`
}

main().then(
  (code) => {
    process.exitCode = code
  },
  (error: unknown) => {
    console.error(error instanceof TypeError ? error.message : error)
    process.exitCode = error instanceof TypeError ? 2 : 1
  },
)
