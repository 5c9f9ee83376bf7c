/**
 * What all commands that talk to a running cluster share: where it is, how to get in, and when to stop.
 */
import type { Command } from 'commander'
import type { Client } from '../../client/index.ts'
import { collectServers } from './parse.ts'

export interface SessionOptions {
  readonly server?: readonly string[]
  readonly token?: string
}

/** Where `meshmq dev` listens unless told otherwise. */
const defaultServers = ['ws://127.0.0.1:7101', 'ws://127.0.0.1:7102', 'ws://127.0.0.1:7103']

/** A person is waiting: say so soon when nobody answers. */
const CONNECT_TIMEOUT_MS = 3_000

export function addSessionOptions(command: Command): Command {
  return command
    .option(
      '-s, --server <url>',
      'ws:// or wss:// URL of a node, repeatable (MESHMQ_SERVERS; default: ws://127.0.0.1:7101 to :7103)',
      collectServers,
    )
    .option('--token <token>', 'what the cluster asks its clients for (MESHMQ_TOKEN)')
}

/** Runs `use` with a connected client, and closes it whatever happens. */
export async function withClient<T>(options: SessionOptions, use: (client: Client) => Promise<T>): Promise<T> {
  // Loaded when it is needed: help and wrong arguments are answered without it.
  const { connect } = await import('../../client/index.ts')
  const token = tokenOf(options)
  const client = await connect({
    servers: serversOf(options),
    name: 'meshmq-cli',
    connectTimeoutMs: CONNECT_TIMEOUT_MS,
    ...(token === undefined ? {} : { token }),
  })
  try {
    return await use(client)
  } finally {
    await client.close()
  }
}

export function serversOf(options: SessionOptions): string[] {
  if (options.server !== undefined) return [...options.server]
  const fromEnvironment = process.env.MESHMQ_SERVERS
  return fromEnvironment ? collectServers(fromEnvironment) : defaultServers
}

export function tokenOf(options: SessionOptions): string | undefined {
  return options.token ?? (process.env.MESHMQ_TOKEN || undefined)
}

/** Aborted by the first Ctrl-C or SIGTERM, for a graceful end; the second one ends the process at once. */
export function stopSignal(): AbortSignal {
  const controller = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => controller.abort())
  return controller.signal
}

/** Resolves when the signal is aborted. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
