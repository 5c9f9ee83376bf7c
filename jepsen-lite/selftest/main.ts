/** `npm run jepsen:selftest`: are the planted bugs found? Exit code 0: all of them; 1: not all; 2: wrong usage. */
import { rmSync } from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { Command } from 'commander'
import { nemeses } from '../nemeses/index.ts'
import { runOptionsOf } from '../options.ts'
import { runReal } from '../real-run.ts'
import { ownBin } from '../run/versions.ts'
import { workloads } from '../workloads/index.ts'
import { plantedBugs, simulatedBugs } from './bugs.ts'
import { misfits } from './plant.ts'
import { findPlantedBugs, type SelftestHooks } from './selftest.ts'

const { quick = false, only = '' } = new Command('npm run jepsen:selftest --')
  .description(
    'Plants known bugs in copies of the build, one after the other, and looks for each with the workload and nemesis made for it.',
  )
  .option('--quick', 'those alone that are found fast')
  .option('--only <name>', 'those whose names begin so')
  .allowExcessArguments(false)
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))
  .parse()
  .opts<{ readonly quick?: boolean; readonly only?: string }>()
const packageFolder = path.resolve(ownBin(), '../../../..')
const folder = path.join(packageFolder, 'data/jepsen-selftest')

const run: SelftestHooks['run'] = async (finder, seed, bin, results) => {
  const { workload, nemesis, seconds, nodes = 3, rate, nodeOptions = {} } = finder
  const options = await runOptionsOf(
    { workload, nemesis, seconds, seed, nodes, bin, nodeOptions, ...(rate === undefined ? {} : { rate }) },
    { workloads, nemeses },
  )
  const terminal = { write: () => {} }
  const result = await runReal(options, { folder: results, terminal, stopped: new AbortController().signal })
  rmSync(path.join(results, 'data'), { recursive: true, force: true })
  return result
}

const chosen = plantedBugs.filter((bug) => (bug.quick || !quick) && bug.name.startsWith(only))
const tell = (line: string) => void process.stdout.write(`${line}\n`)
// Also of those that are not looked for now: whoever changes a line hears of it at once.
const unfit = misfits(plantedBugs, packageFolder)
for (const each of unfit) tell(each)
const findings = await findPlantedBugs(chosen, { packageFolder, folder, run, tell })
if (!quick && only === '')
  for (const { name, simulator, planted } of simulatedBugs)
    tell(`left to the ${simulator} simulator: ${name} (${planted})`)
const found = findings.filter(({ anomaly }) => anomaly !== undefined).length
tell(`${found} of ${findings.length} planted bugs found`)
process.exitCode = found === findings.length && found > 0 && unfit.length === 0 ? 0 : 1
