/** `npm run jepsen -- …`: the fault-injection suite from the sources. The nodes run from the build all the same. */
import process from 'node:process'
import { runCli } from './cli.ts'

process.exitCode = await runCli(process.argv.slice(2), 'jepsen')
