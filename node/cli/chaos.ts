/**
 * `meshmq chaos`: clusters of this very program under faults, on this machine. All of its options are jepsen-lite's own; here is only the way
 * to them, so that no other command loads it.
 */
import process from 'node:process'
import type { Command } from 'commander'

export function addChaosCommand(program: Command): void {
  program
    .command('chaos')
    .description('run clusters under faults and judge what clients saw (0 valid, 1 invalid, 2 unknown)')
    .helpOption(false)
    .allowUnknownOption()
    .argument('[options...]', 'see `meshmq chaos --help`')
    .action(async (options: readonly string[]) => {
      const { runCli } = await import('../../jepsen-lite/index.ts')
      process.exitCode = await runCli(options, 'meshmq chaos')
    })
}
