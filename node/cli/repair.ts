/**
 * `meshmq repair`: what is wrong with the data directory of a node that does not run, and, if the operator says so, the acceptance of
 * what cannot be brought back.
 */
import type { Command } from 'commander'
import { printJson, printLine } from './output.ts'

interface RepairCommandOptions {
  readonly data: string
  readonly acceptLoss?: boolean
  readonly json?: boolean
}

export function addRepairCommand(program: Command): void {
  program
    .command('repair')
    .description("look at a stopped node's data directory, and accept what is lost")
    .requiredOption('--data <dir>', "the node's data directory")
    .option('--accept-loss', 'accept the loss that is told without this option')
    .option('--json', 'print a JSON object')
    .addHelpText(
      'after',
      `
Examples:
  $ meshmq repair --data ./data/n1                 # only tells
  $ meshmq repair --data ./data/n1 --accept-loss

A damaged node of a cluster whose other voters live needs none of this: start it, and the cluster heals it.`,
    )
    .action(runRepair)
}

async function runRepair({ data, acceptLoss = false, json }: RepairCommandOptions): Promise<void> {
  // Loaded when it is needed, like the node itself.
  const { repairNode } = await import('../index.ts')
  const report = await repairNode(data, { acceptLoss })
  if (json) return printJson(report)
  const { nodeId, findings, meaning, accepted } = report
  await printLine(nodeId === undefined ? data : `${data}, node ${nodeId}`)
  for (const finding of findings) await printLine(`  ${finding}`)
  if (findings.length === 0) await printLine('  nothing is damaged')
  if (accepted) await printLine('\nAccepted. The node can be started.')
  else if (meaning === undefined) await printLine('\nThere is nothing to accept: start the node.')
  else await printLine(`\n${meaning}\n\nTo accept it, run this again with --accept-loss.`)
}
