/** `meshmq queue ls|info`: what the queues hold. */
import type { Command } from 'commander'
import { printJson, printLine, printTable } from './output.ts'
import { addSessionOptions, type SessionOptions, withClient } from './session.ts'

interface QueueCommandOptions extends SessionOptions {
  readonly json?: boolean
  readonly local?: boolean
}

export function addQueueCommands(program: Command): void {
  const queue = program.command('queue').description('look at queues')
  const list = queue.command('ls').description('list all queues').option('--json', 'print a JSON array')
  addReadOptions(list).action(listQueues)
  const info = queue
    .command('info')
    .description('show one queue')
    .argument('<name>', 'name of the queue')
    .option('--json', 'print a JSON object')
  addReadOptions(info).action(showQueue)
  queue.addHelpText(
    'after',
    `
Examples:
  $ meshmq queue ls
  $ meshmq queue info billing --json`,
  )
}

function addReadOptions(command: Command): Command {
  command.option('--local', 'what the node knows, without asking a majority: works without one, may be behind')
  return addSessionOptions(command)
}

async function listQueues(options: QueueCommandOptions): Promise<void> {
  const queues = await withClient(options, (client) => client.admin.queues({ consistent: options.local !== true }))
  if (options.json) return printJson(queues)
  if (queues.length === 0) return printLine('no queues')
  const rows = queues.map((stats) => [
    stats.queue,
    stats.ready,
    stats.unsettled,
    stats.consumers,
    stats.bindings.join(' '),
  ])
  await printTable(['QUEUE', 'READY', 'UNSETTLED', 'CONSUMERS', 'BINDINGS'], rows)
}

async function showQueue(name: string, options: QueueCommandOptions): Promise<void> {
  const stats = await withClient(options, (client) => client.queue(name).stats({ consistent: options.local !== true }))
  if (options.json) return printJson(stats)
  const figures = Object.entries(stats).filter(([key]) => key !== 'queue')
  const rows = figures.map(([key, value]) => [key, Array.isArray(value) ? value.join(' ') : String(value)])
  await printTable(['QUEUE', name], rows)
}
