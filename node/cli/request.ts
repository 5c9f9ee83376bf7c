/** `meshmq request`: asks, prints the answer. */
import type { Command } from 'commander'
import { formatBody, printJson, printLine } from './output.ts'
import { collectHeader, parseInteger, readBody } from './parse.ts'
import { addSessionOptions, type SessionOptions, withClient } from './session.ts'

interface RequestCommandOptions extends SessionOptions {
  readonly timeout: number
  readonly header?: Readonly<Record<string, string>>
  readonly jsonBody?: boolean
  readonly json?: boolean
}

export function addRequestCommand(program: Command): void {
  const command = program
    .command('request')
    .description('send a request and print the reply')
    .argument('<topic>', 'such as price.quote')
    .argument('[body]', 'text; - reads standard input', '')
    .option('-t, --timeout <ms>', 'how long to wait for the reply, milliseconds', parseInteger(1), 5_000)
    .option('-H, --header <key=value>', 'a header, repeatable', collectHeader)
    .option('--json-body', 'the body is a JSON value, not text')
    .option('--json', 'print the reply as JSON: headers, body')
  addSessionOptions(command).addHelpText(
    'after',
    `
Examples:
  $ meshmq request price.quote '{"sku":7}' --json-body
  $ meshmq request time.now --timeout 500

Without anybody who replies it fails at once with NoResponders.`,
  )
  command.action(async (topic: string, body: string, options: RequestCommandOptions) => {
    const content = await readBody(body, options.jsonBody ?? false)
    await withClient(options, async (client) => {
      const reply = await client.request(topic, content, {
        timeoutMs: options.timeout,
        ...(options.header === undefined ? {} : { headers: options.header }),
      })
      if (options.json) await printJson({ headers: reply.headers, body: reply.body })
      else await printLine(formatBody(reply.body))
    })
  })
}
