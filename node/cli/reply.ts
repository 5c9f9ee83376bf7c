/** `meshmq reply`: answers requests with a fixed body or with their own. */
import type { Command } from 'commander'
import type { Client } from '../../client/index.ts'
import { MeshError } from '../../wire/errors.ts'
import { formatBody, printJson, printLine } from './output.ts'
import { parseInteger, readBody } from './parse.ts'
import { aborted, addSessionOptions, type SessionOptions, stopSignal, withClient } from './session.ts'

interface ReplyCommandOptions extends SessionOptions {
  readonly echo?: boolean
  readonly count?: number
  readonly jsonBody?: boolean
  readonly json?: boolean
}

export function addReplyCommand(program: Command): void {
  const command = program
    .command('reply')
    .description('answer requests; several responders share them')
    .argument('<pattern>', 'the topics to answer; * stands for one word, # for any number')
    .argument('[body]', 'the answer; - reads standard input')
    .option('--echo', 'answer with the body of the request')
    .option('-n, --count <n>', 'end after so many answers', parseInteger(1))
    .option('--json-body', 'the body is a JSON value, not text')
    .option('--json', 'print each request as JSON: topic, headers, body')
  addSessionOptions(command).addHelpText(
    'after',
    `
Examples:
  $ meshmq reply price.quote '{"price":3}' --json-body
  $ meshmq reply 'test.#' --echo

Ctrl-C ends it.`,
  )
  command.action(async (topic: string, body: string | undefined, options: ReplyCommandOptions) => {
    if ((body === undefined) === (options.echo !== true)) {
      throw new MeshError('Validation', 'reply takes either a body or --echo')
    }
    const answer = body === undefined ? undefined : await readBody(body, options.jsonBody ?? false)
    await withClient(options, (client) => answerRequests(client, topic, answer, options))
  })
}

async function answerRequests(client: Client, topic: string, answer: unknown, options: ReplyCommandOptions) {
  const { count = Number.POSITIVE_INFINITY } = options
  let answered = 0
  let finish = () => {}
  const enough = new Promise<void>((resolve) => {
    finish = resolve
  })
  await client.respond(topic, async (request) => {
    if (options.json) await printJson({ topic: request.topic, headers: request.headers, body: request.body })
    else await printLine(`${request.topic} ${formatBody(request.body)}`)
    answered += 1
    if (answered >= count) finish()
    return options.echo === true ? request.body : answer
  })
  await Promise.race([enough, aborted(stopSignal())])
  // Answers that are on their way are sent before the connection closes.
  await client.drain()
}
