/** A process that runs seeds of the core's simulator. */
import { runSeed } from './run.ts'
import { serve } from './serve.ts'

serve((seed) => runSeed(seed))
