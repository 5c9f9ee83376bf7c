#!/usr/bin/env node
/**
 * The command line: one command group a file, and here what they share: how a failure is told (one line on standard error,
 * a code of the registry in it) and with which exit code.
 *
 *     0 done   1 it failed   2 it was called wrongly: commander says so, or the code is Validation
 *
 * Never: process.exit before standard output is written. A command that has finished leaves nothing behind that keeps
 * the process alive, so the process ends by itself.
 */
import { Command, CommanderError } from 'commander'
import { packageVersion } from '../version.ts'
import { addChaosCommand } from './chaos.ts'
import { addClusterCommands } from './cluster.ts'
import { addDevCommand } from './dev.ts'
import { codeOf, explain } from './failure.ts'
import { quietBrokenPipe } from './output.ts'
import { addPublishCommand } from './publish.ts'
import { addQueueCommands } from './queue.ts'
import { addRepairCommand } from './repair.ts'
import { addReplyCommand } from './reply.ts'
import { addRequestCommand } from './request.ts'
import { addStartCommand } from './start.ts'
import { addSubscribeCommand } from './subscribe.ts'

const EXIT_FAILURE = 1
const EXIT_USAGE = 2

const hints = `
To begin with:
  $ meshmq dev                                # three nodes on this machine
  $ meshmq sub 'orders.*' --queue billing     # in a second terminal
  $ meshmq pub orders.created 'hello'         # in a third

Environment: MESHMQ_SERVERS and MESHMQ_TOKEN for clients, MESHMQ_SECRET and MESHMQ_TOKENS for nodes, MESHMQ_DEBUG for stacks.
Exit codes: 0 done, 1 failed, 2 called wrongly; what failed is one line on standard error.`

function createProgram(): Command {
  const program = new Command('meshmq')
    .description('A distributed pub/sub mesh and message queue.')
    .version(packageVersion())
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .showSuggestionAfterError(false)
    .addHelpText('after', hints)
  addDevCommand(program)
  addStartCommand(program)
  addPublishCommand(program)
  addSubscribeCommand(program)
  addRequestCommand(program)
  addReplyCommand(program)
  addQueueCommands(program)
  addClusterCommands(program)
  addRepairCommand(program)
  addChaosCommand(program)
  return program
}

async function run(args: readonly string[]): Promise<number> {
  try {
    await createProgram().parseAsync(args, { from: 'user' })
    return Number(process.exitCode ?? 0)
  } catch (error) {
    if (!(error instanceof CommanderError)) return fail(error)
    // Help and version are told as errors too; help that nobody asked for means that a command is missing.
    if (error.exitCode === 0) return 0
    if (error.code !== 'commander.help') tell('Validation', error.message.replace(/^error: /, ''))
    return EXIT_USAGE
  }
}

function fail(error: unknown): number {
  const code = codeOf(error)
  tell(code, explain(error))
  if (process.env.MESHMQ_DEBUG !== undefined && error instanceof Error) process.stderr.write(`${error.stack}\n`)
  return code === 'Validation' ? EXIT_USAGE : EXIT_FAILURE
}

function tell(code: string, message: string): void {
  process.stderr.write(`meshmq: ${code}: ${message.replace(/\s*\n\s*/g, ' ')}\n`)
}

quietBrokenPipe()
run(process.argv.slice(2)).then((exitCode) => {
  process.exitCode = exitCode
})
