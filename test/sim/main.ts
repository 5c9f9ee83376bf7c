/** `npm run sim`: the core's simulator (command-line.ts tells the arguments). */
import { breaks } from './breaks.ts'
import { runCommandLine } from './command-line.ts'
import { floorsPerThousand } from './report.ts'
import { runSeed } from './run.ts'
import { coreWorker } from './selftest.ts'

runCommandLine({
  script: 'sim',
  runSeed,
  floors: floorsPerThousand,
  worker: coreWorker,
  breaks,
  witnesses: 'test/sim/witnesses.json',
  selftestSeeds: 1000,
})
