/** `meshmq sub`: prints what arrives and acknowledges it once it is printed. */
import type { Command } from 'commander'
import type { Client } from '../../client/index.ts'
import { limits } from '../../wire/limits.ts'
import { parseInteger } from './parse.ts'
import { printAsJson, printAsText } from './print-message.ts'
import { aborted, addSessionOptions, type SessionOptions, stopSignal, withClient } from './session.ts'

interface SubscribeCommandOptions extends SessionOptions {
  readonly queue?: string
  readonly count?: number
  readonly prefetch: number
  readonly json?: boolean
}

export function addSubscribeCommand(program: Command): void {
  const command = program
    .command('sub')
    .description('print messages whose topic matches, and acknowledge them')
    .argument('<pattern>', 'a topic; * stands for one word, # for any number')
    .option('-q, --queue <name>', 'consume from this durable queue, bound to the pattern; else what comes from now on')
    .option('-n, --count <n>', 'end after so many messages', parseInteger(1))
    .option('--prefetch <n>', 'unacknowledged messages at a time', parseInteger(1, limits.prefetchMax), 100)
    .option('--json', 'one JSON object a line: id, topic, attempt, timestamp, headers, body')
  addSessionOptions(command).addHelpText(
    'after',
    `
Examples:
  $ meshmq sub 'orders.*'
  $ meshmq sub 'orders.#' --queue billing --json
  $ meshmq sub 'orders.#' --queue billing --count 10

Ctrl-C ends it. A message that was not printed goes back to its queue.`,
  )
  command.action((pattern: string, options: SubscribeCommandOptions) =>
    withClient(options, (client) => printMessages(client, pattern, options)),
  )
}

async function printMessages(client: Client, pattern: string, options: SubscribeCommandOptions): Promise<void> {
  const { queue, count = Number.POSITIVE_INFINITY } = options
  const messages = client.subscribe(pattern, {
    prefetch: Math.min(options.prefetch, count),
    ...(queue === undefined ? {} : { queue }),
  })
  // Ends the loop below from outside, with what is printed acknowledged.
  void aborted(stopSignal()).then(() => client.drain())
  const print = options.json ? printAsJson : printAsText
  const acks = new AckWindow(options.prefetch)
  let printed = 0
  for await (const message of messages) {
    await print(message)
    await acks.add(message.ack())
    printed += 1
    if (printed < count) continue
    await acks.settled()
    return
  }
  await acks.settled()
}

/** Acknowledgements under way: several at once, since each waits for a majority, and the first that fails is thrown. */
class AckWindow {
  readonly #max: number
  readonly #open = new Set<Promise<void>>()
  #failure: { readonly error: unknown } | undefined

  constructor(max: number) {
    this.#max = max
  }

  /** Waits for room. */
  async add(ack: Promise<void>): Promise<void> {
    const tracked: Promise<void> = ack
      .catch((error: unknown) => {
        this.#failure ??= { error }
      })
      .finally(() => this.#open.delete(tracked))
    this.#open.add(tracked)
    if (this.#open.size >= this.#max) await Promise.race(this.#open)
    this.#throwFailure()
  }

  async settled(): Promise<void> {
    await Promise.all(this.#open)
    this.#throwFailure()
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error
  }
}
