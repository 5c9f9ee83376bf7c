/**
 * `meshmq dev`: a cluster of real processes on this machine, to try things on. Each node is a `meshmq start` of its own, so
 * that it can be killed, paused and looked at like one in production.
 *
 * Never: a restart. A node that dies stays dead and is reported, which is the point of trying it.
 */
import { mkdirSync, readdirSync } from 'node:fs'
import { createServer } from 'node:net'
import path from 'node:path'
import type { Command } from 'commander'
import { MeshError } from '../../wire/errors.ts'
import type { NodeStatus } from '../admin/index.ts'
import { MEMBERS_MAX } from '../config.ts'
import { fetchAdmin } from './admin-client.ts'
import { NodeProcess } from './node-process.ts'
import { printLine } from './output.ts'
import { logLevelOption, parseInteger } from './parse.ts'
import { aborted, stopSignal } from './session.ts'

interface DevCommandOptions {
  readonly nodes: number
  readonly port: number
  readonly data: string
  readonly logLevel: string
}

const DEFAULT_PORT = 7101
const READY_TIMEOUT_MS = 60_000
const READY_POLL_MS = 100

export function addDevCommand(program: Command): void {
  program
    .command('dev')
    .description('run a whole cluster on this machine, one process a node')
    .option('--nodes <n>', `how many nodes, at most ${MEMBERS_MAX}`, parseInteger(1, MEMBERS_MAX), 3)
    .option(
      '--port <port>',
      'port of the first node; the others follow',
      parseInteger(1, 65_536 - MEMBERS_MAX),
      DEFAULT_PORT,
    )
    .option('--data <dir>', 'where the nodes keep their data', path.join('data', 'dev'))
    .addOption(logLevelOption('of the nodes').default('warn'))
    .addHelpText(
      'after',
      `
Examples:
  $ meshmq dev
  $ meshmq dev --nodes 5 --port 9001 --data /tmp/five

What is stored survives: the next dev with the same --data goes on with it.`,
    )
    .action(runCluster)
}

async function runCluster(options: DevCommandOptions): Promise<void> {
  const { nodes, port, data } = options
  refuseOtherSize(data, nodes)
  const stop = stopSignal()
  const urls = Array.from({ length: nodes }, (_, i) => `ws://127.0.0.1:${port + i}`)
  for (let i = 0; i < nodes; i++) await refuseUsedPort(port + i)
  mkdirSync(data, { recursive: true })
  const cluster = urls.map((url, i) => `n${i + 1}=${url}`).join(',')
  const processes = urls.map((url, i) => {
    const id = `n${i + 1}`
    const place = ['--listen', new URL(url).host, '--data', path.join(data, id)]
    return new NodeProcess(id, ['start', '--id', id, ...place, '--cluster', cluster, '--log-level', options.logLevel])
  })
  try {
    await untilReady(processes, urls, stop)
    if (stop.aborted) return
    await printSummary(processes, urls, options)
    await untilStopped(processes, stop)
  } finally {
    const late = (await Promise.all(processes.map((node) => node.stop()))).filter((id) => id !== undefined)
    if (late.length > 0) await printLine(`meshmq dev: ${late.join(', ')} did not stop in time and was killed`)
  }
}

/** Members are part of the stored state: a directory of three nodes cannot become one of five by itself. */
function refuseOtherSize(data: string, nodes: number): void {
  let stored: string[]
  try {
    stored = readdirSync(data).filter((name) => /^n\d+$/.test(name))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error
  }
  if (stored.length === 0 || stored.length === nodes) return
  const advice = `use --nodes ${stored.length} or another --data`
  throw new MeshError('Precondition', `${data} holds a cluster of ${stored.length} nodes: ${advice}`)
}

async function refuseUsedPort(port: number): Promise<void> {
  const probe = createServer()
  await new Promise<void>((resolve, reject) => {
    probe.once('error', (cause: NodeJS.ErrnoException) => {
      const why = cause.code === 'EADDRINUSE' ? 'is in use' : `cannot be listened on (${cause.code})`
      reject(new MeshError('Precondition', `port ${port} ${why}: choose others with --port`))
    })
    probe.listen(port, '127.0.0.1', resolve)
  })
  await new Promise((resolve) => probe.close(resolve))
}

/** Rejects when a node ends before all are ready. */
async function untilReady(
  processes: readonly NodeProcess[],
  urls: readonly string[],
  stop: AbortSignal,
): Promise<void> {
  const deadline = AbortSignal.timeout(READY_TIMEOUT_MS)
  for (const url of urls) {
    for (;;) {
      if (stop.aborted) return
      const ended = processes.find((node) => node.ending !== undefined)
      if (ended !== undefined) throw new MeshError('Connection', `${ended.id} ${ended.ending} before it was ready`)
      const answer = await fetchAdmin(url, '/readyz')
      if (answer?.ok) break
      if (deadline.aborted) {
        throw new MeshError('Timeout', `the node at ${url} was not ready after ${READY_TIMEOUT_MS / 1000} s`)
      }
      await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS))
    }
  }
}

async function printSummary(
  processes: readonly NodeProcess[],
  urls: readonly string[],
  { port, data }: DevCommandOptions,
): Promise<void> {
  const status = (await fetchAdmin(urls[0]!, '/status?stateHash=0'))?.value as NodeStatus | undefined
  // What npm has started is known by that name to npm alone, not to the shell of another terminal.
  const meshmq = process.env.npm_execpath === undefined ? 'meshmq' : 'npx meshmq'
  const server = port === DEFAULT_PORT ? '' : ` --server ${urls[0]}`
  const lines = processes.map(({ id, pid }, i) => {
    return `  ${id}  ${urls[i]}  pid ${pid}${status?.leader === id ? '  leader' : ''}`
  })
  await printLine(`
meshmq dev: ${urls.length === 1 ? 'one node is' : `${urls.length} nodes are`} ready, data in ${data}

${lines.join('\n')}

Try in another terminal:
  ${meshmq} sub 'orders.*' --queue billing${server}
  ${meshmq} pub orders.created 'hello'${server}
  ${meshmq} cluster status${server}

Ctrl-C stops it.
`)
}

/** Until Ctrl-C, or until no node is left. */
async function untilStopped(processes: readonly NodeProcess[], stop: AbortSignal): Promise<void> {
  let running = processes.length
  const reports = processes.map(async (node) => {
    const ending = await node.ended
    running -= 1
    if (stop.aborted) return
    await printLine(`meshmq dev: ${node.id} ${ending}; it is not restarted, ${running} of ${processes.length} go on`)
  })
  const allGone = Promise.all(reports).then(() => 'gone' as const)
  const outcome = await Promise.race([allGone, aborted(stop)])
  if (outcome === 'gone' && !stop.aborted) throw new MeshError('Connection', 'no node is left')
}
