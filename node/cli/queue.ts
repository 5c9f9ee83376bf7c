/** `meshmq queue`: what the queues hold, and how they come and go. */
import type { Command } from 'commander'
import type { Queue } from '../../client/index.ts'
import { example, printJson, printLine, printTable } from './output.ts'
import { addReceiveCommand } from './receive.ts'
import { addSessionOptions, type SessionOptions, withClient } from './session.ts'

interface QueueCommandOptions extends SessionOptions {
  readonly json?: boolean
  readonly local?: boolean
}

export function addQueueCommands(program: Command): void {
  const queue = program.command('queue').description('look at queues, make, bind, ask and delete them')
  const list = queue.command('ls').description('list all queues').option('--json', 'print a JSON array')
  list.addHelpText('after', example('meshmq queue ls --json | jq ".[].queue"'))
  addReadOptions(list).action(listQueues)
  const info = queue
    .command('info')
    .description('show one queue')
    .argument('<name>', 'name of the queue')
    .option('--json', 'print a JSON object')
    .addHelpText('after', example('meshmq queue info billing'))
  addReadOptions(info).action(showQueue)
  addChange(queue, 'declare', 'make a durable queue, unless it is there already', (target) => target.declare())
  addBinding(queue, 'bind', 'store in a queue what matches a pattern, from now on', (target, pattern) =>
    target.bind(pattern),
  )
  addBinding(queue, 'unbind', 'take a binding back; what the queue holds stays', (target, pattern) =>
    target.unbind(pattern),
  )
  addChange(queue, 'delete', 'delete a queue with its messages', (target) => target.delete())
  addReceiveCommand(queue)
  queue.addHelpText(
    'after',
    `
Examples:
  $ meshmq queue declare billing && meshmq queue bind billing 'orders.#'
  $ meshmq queue ls
  $ meshmq queue info billing --json
  $ meshmq queue receive billing --max 10 --ack`,
  )
}

/** Says nothing when it is done. */
function addChange(parent: Command, name: string, text: string, change: (queue: Queue) => Promise<void>): void {
  const command = parent.command(name).description(text).argument('<name>', 'name of the queue')
  command.addHelpText('after', example(`meshmq queue ${name} billing`))
  addSessionOptions(command).action((queue: string, options: SessionOptions) =>
    withClient(options, (client) => change(client.queue(queue))),
  )
}

function addBinding(
  parent: Command,
  name: string,
  text: string,
  change: (queue: Queue, pattern: string) => Promise<void>,
): void {
  const command = parent.command(name).description(text).argument('<name>', 'name of the queue')
  command.argument('<pattern>', 'a topic; * stands for one word, # for any number')
  command.addHelpText('after', example(`meshmq queue ${name} billing 'orders.#'`))
  addSessionOptions(command).action((queue: string, pattern: string, options: SessionOptions) =>
    withClient(options, (client) => change(client.queue(queue), pattern)),
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
