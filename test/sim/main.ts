/** `npm run sim`: the core's simulator (command-line.ts tells the arguments). */
import { breaks } from './breaks.ts'
import { runCommandLine } from './command-line.ts'
import { floorsPerThousand } from './report.ts'
import { runSeed } from './run.ts'
import { coreSimulator } from './selftest.ts'

runCommandLine({
  script: 'sim',
  runSeed,
  floors: floorsPerThousand,
  prey: coreSimulator,
  breaks,
  selftestSeeds: 1000,
})
