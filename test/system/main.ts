/** `npm run system`: the whole-system simulator (test/sim/command-line.ts tells the arguments). */
import { runCommandLine } from '../sim/command-line.ts'
import { breaks, systemWorker } from './breaks.ts'
import { floorsPerThousand } from './floors.ts'
import { runSeed } from './run.ts'

runCommandLine({
  script: 'system',
  runSeed,
  floors: floorsPerThousand,
  worker: systemWorker,
  breaks,
  witnesses: 'test/system/witnesses.json',
  selftestSeeds: 2000,
})
