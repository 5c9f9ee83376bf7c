/** A process that runs seeds of the whole-system simulator. */
import { serve } from '../sim/serve.ts'
import { runSeed } from './run.ts'

serve((seed) => runSeed(seed))
