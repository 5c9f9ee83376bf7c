/** `meshmq pub`: publishes, and says so once a majority has it on disk. */
import type { Command } from 'commander'
import type { Client } from '../../client/index.ts'
import { printJson, printLine } from './output.ts'
import { collectHeader, parseInteger, readBody } from './parse.ts'
import { addSessionOptions, type SessionOptions, withClient } from './session.ts'

interface PublishCommandOptions extends SessionOptions {
  readonly count: number
  readonly header?: Readonly<Record<string, string>>
  readonly jsonBody?: boolean
  readonly json?: boolean
}

/** Publishes under way at a time with --count: enough to fill frames, few enough to stop soon on an error. */
const IN_FLIGHT_MAX = 1_000

export function addPublishCommand(program: Command): void {
  const command = program
    .command('pub')
    .description('publish a message (or the same one several times)')
    .argument('<topic>', 'such as orders.created')
    .argument('[body]', 'text; - reads standard input', '')
    .option('-n, --count <n>', 'how many times', parseInteger(1), 1)
    .option('-H, --header <key=value>', 'a header, repeatable', collectHeader)
    .option('--json-body', 'the body is a JSON value, not text')
    .option('--json', 'print the result as JSON')
  addSessionOptions(command).addHelpText(
    'after',
    `
Examples:
  $ meshmq pub orders.created 'hello'
  $ meshmq pub orders.created '{"id":1}' --json-body --header tenant=acme
  $ meshmq pub load.test x --count 100000
  $ cat invoice.xml | meshmq pub invoices -`,
  )
  command.action(async (topic: string, body: string, options: PublishCommandOptions) => {
    const content = await readBody(body, options.jsonBody ?? false)
    await withClient(options, async (client) => {
      const lastId = await publishMany(client, topic, content, options)
      if (options.json) await printJson({ published: options.count, lastId })
      else await printLine(options.count === 1 ? `published ${lastId}` : `published ${options.count} messages`)
    })
  })
}

/** Resolves with the last message's id when all are confirmed; rejects with the first failure. */
async function publishMany(client: Client, topic: string, body: unknown, options: PublishCommandOptions) {
  const { count, header } = options
  const publishOptions = header === undefined ? {} : { headers: header }
  let next = 0
  let lastId = ''
  const publishInTurn = async () => {
    while (next < count) {
      const number = ++next
      const { id } = await client.publish(topic, body, publishOptions)
      if (number === count) lastId = id
    }
  }
  await Promise.all(Array.from({ length: Math.min(count, IN_FLIGHT_MAX) }, publishInTurn))
  return lastId
}
