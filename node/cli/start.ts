/**
 * `meshmq start`: one node in this process. Options come from a file, from the environment (secrets) and from the command
 * line, which wins. The node checks them itself (node/config.ts).
 */
import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { MeshError } from '../../wire/errors.ts'
import type { NodeOptions } from '../index.ts'
import { jsonLogger, type LogLevel, logLevels, textLogger } from '../logger.ts'
import { collectList, collectMembers, logLevelOption } from './parse.ts'
import { aborted, stopSignal } from './session.ts'

interface StartCommandOptions {
  readonly id?: string
  readonly listen?: string
  readonly cluster?: Readonly<Record<string, string>>
  readonly data?: string
  readonly config?: string
  readonly clusterName?: string
  readonly secret?: string
  readonly secretFile?: string
  readonly token?: readonly string[]
  readonly origin?: readonly string[]
  readonly logLevel?: string
  readonly json?: boolean
}

export function addStartCommand(program: Command): void {
  program
    .command('start')
    .description('run one node of a cluster')
    .option('--id <id>', 'name of this node, one of --cluster')
    .option('--listen <host:port>', 'where it listens, for clients, peers and HTTP')
    .option('--cluster <members>', 'all members, this node included: n1=ws://host:port,n2=…', collectMembers)
    .option('--data <dir>', 'directory of this node alone; made when it is not there')
    .option('--config <file>', 'JSON with the options of startNode; the command line wins over it')
    .option('--cluster-name <name>', 'peers and clients of another name are refused (default: meshmq)')
    .option('--secret <secret>', 'what peers show each other (better: MESHMQ_SECRET or --secret-file)')
    .option('--secret-file <file>', 'file that holds the secret')
    .option('--token <token>', 'what clients must show, repeatable (MESHMQ_TOKENS)', collectList)
    .option('--origin <origin>', 'browser origin that may connect, repeatable', collectList)
    .addOption(logLevelOption('default: info'))
    .option('--json', 'log as JSON lines')
    .addHelpText(
      'after',
      `
Examples:
  $ meshmq start --id n1 --listen 127.0.0.1:7101 --data ./data/n1 \\
      --cluster n1=ws://127.0.0.1:7101,n2=ws://127.0.0.1:7102,n3=ws://127.0.0.1:7103
  $ MESHMQ_SECRET=… meshmq start --config /etc/meshmq/n1.json --json

Beyond loopback a node starts only with a secret and with tokens.
Ctrl-C or SIGTERM stops it gracefully; a second one ends it at once.`,
    )
    .action(runNode)
}

async function runNode(options: StartCommandOptions): Promise<void> {
  const nodeOptions = gatherOptions(options)
  const stop = Promise.race([aborted(stopSignal()), parentGone()])
  // Loaded when it is needed: the commands of clients do without a node's disk and peers.
  const { startNode } = await import('../index.ts')
  try {
    const node = await startNode(nodeOptions)
    await Promise.race([node.failed, stop])
    await node.stop()
  } finally {
    // Listening to the parent keeps the process alive: a node that could not start, or failed, must not linger behind it.
    process.channel?.unref()
  }
}

/** A node that `meshmq dev` started must not outlive it, however that ended. */
function parentGone(): Promise<void> {
  return new Promise((resolve) => {
    if (process.connected) process.once('disconnect', () => resolve())
  })
}

/** What has no default, by the names in the file. */
const needed = { id: '--id', listen: '--listen', dataDir: '--data', cluster: '--cluster' }

/** Only what is missing is told here, in the words of the command line: values are for `startNode` to judge. */
function gatherOptions(options: StartCommandOptions): NodeOptions {
  const given = {
    id: options.id,
    listen: options.listen,
    cluster: options.cluster,
    dataDir: options.data,
    clusterName: options.clusterName,
    secret: options.secret ?? secretFromElsewhere(options.secretFile),
    tokens: options.token ?? (process.env.MESHMQ_TOKENS ? collectList(process.env.MESHMQ_TOKENS) : undefined),
    origins: options.origin,
  }
  const file = options.config === undefined ? {} : readConfigFile(options.config)
  const named = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
  const merged: object = { ...file, ...named }
  const missing = Object.entries(needed).flatMap(([option, flag]) => (Object.hasOwn(merged, option) ? [] : [flag]))
  if (missing.length > 0) {
    throw new MeshError('Validation', `start needs ${missing.join(', ')}, or a --config that has them`)
  }
  return { ...merged, logger: chooseLogger(options, file.logger) } as NodeOptions
}

function secretFromElsewhere(file: string | undefined): string | undefined {
  if (file !== undefined) return readFileSync(file, 'utf8').trim()
  return process.env.MESHMQ_SECRET || undefined
}

function readConfigFile(path: string): Record<string, unknown> {
  const text = readFileSync(path, 'utf8')
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
  } catch (cause) {
    throw new MeshError('Validation', `${path} is no JSON: ${(cause as Error).message}`, { cause })
  }
  throw new MeshError('Validation', `${path} must hold a JSON object`)
}

/** The file may name a level, or false for silence. */
function chooseLogger(options: StartCommandOptions, fromFile: unknown) {
  const level = options.logLevel ?? fromFile ?? 'info'
  if (!logLevels.includes(level as LogLevel)) return level
  if (options.json) return jsonLogger(level as LogLevel)
  return textLogger(level as LogLevel, (line) => process.stdout.write(line))
}
