/** `meshmq queue receive`: asks a queue once, and prints what it has. */
import type { Command } from 'commander'
import { limits } from '../../wire/limits.ts'
import { example } from './output.ts'
import { parseInteger } from './parse.ts'
import { printAsJson, printAsText } from './print-message.ts'
import { addSessionOptions, type SessionOptions, withClient } from './session.ts'

interface ReceiveCommandOptions extends SessionOptions {
  readonly max: number
  readonly wait: number
  readonly ack?: boolean
  readonly json?: boolean
}

export function addReceiveCommand(queue: Command): void {
  const command = queue
    .command('receive')
    .description('print what a queue has for a consumer, and give it back')
    .argument('<name>', 'name of the queue')
    .option('--max <n>', 'messages at the most', parseInteger(1, limits.receiveMessagesMax), 1)
    .option('--wait <ms>', 'wait for the first, if there is none', parseInteger(0, limits.delayMsMax), 0)
    .option('--ack', 'acknowledge what was printed, instead of giving it back')
    .option('--json', 'one JSON object a line: id, topic, attempt, timestamp, headers, body')
    .addHelpText('after', example('meshmq queue receive billing --max 10 --ack'))
  addSessionOptions(command).action(receive)
}

function receive(name: string, options: ReceiveCommandOptions): Promise<void> {
  return withClient(options, async (client) => {
    const messages = await client.queue(name).receive({ max: options.max, waitMs: options.wait })
    const print = options.json ? printAsJson : printAsText
    for (const message of messages) await print(message)
    await Promise.all(messages.map((message) => (options.ack ? message.ack() : message.nack())))
  })
}
